/* weir segment: looks into the files of the store, without a server. */
#include "cmd/commands.h"

#include "store/segment.h"

#include <stdio.h>

static const char *const verbs[] = {"inspect", "verify", "cat", NULL};
static const struct option_def option_defs[] = {
    {"json", 'j', NULL, "inspect: as JSON."},
    {"templates", 't', NULL, "inspect: every template of a column, not the largest ten alone."},
    {0},
};
const struct command segment_command = {
    .name = "segment",
    .summary = "Looks into segment files: inspect, verify, cat",
    .usage = "inspect|verify|cat [options] FILE...",
    .text =
        "Looks into segment files (DATA/segments/*): compressed, immutable, each complete in "
        "itself. None of\n"
        "these commands needs a server, and none changes anything.\n\n"
        "inspect   what is in the file: streams, times, rows, and for each column its type, how "
        "many values\n"
        "          it has, the bytes it takes and how it is encoded (in how many blocks); of texts "
        "by templates\n"
        "          the bytes of each template and of each of its slots\n"
        "verify    reads every byte, checks every checksum and decodes every value; prints one "
        "line for each\n"
        "          fault and exits 1 when there is any\n"
        "cat       prints every record as a line of JSON, stream by stream, in order of time. A "
        "damaged file\n"
        "          gives every record of its intact blocks; what is lost is said on standard "
        "error (exit 1)\n\n"
        "  weir segment inspect data/segments/17.seg\n"
        "  weir segment inspect --json data/segments/17.seg | jq '.sections[].columns[].name'\n"
        "  weir segment verify data/segments/*.seg && echo all good\n"
        "  weir segment cat data/segments/17.seg | grep timeout",
    .options = option_defs,
    .verbs = verbs,
    .takes_files = true,
    .args_min = 2,
    .args_max = 10000000,
};

static enum err print_line(void *ctx, struct str line)
{
    if (fwrite(line.p, 1, line.n, stdout) != line.n || putchar('\n') == EOF)
        return err_set_errno("cannot write to standard output");
    return OK;
}

static int fail(enum err err)
{
    fprintf(stderr, "weir segment: %s\n", err_text());
    return err == ERR_CORRUPT ? 1 : 2;
}

static int inspect(const char *path, bool json, bool templates)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    enum err err = segment_inspect(path, json, templates, &out);
    if (out.n)
        fwrite(out.p, 1, out.n, stdout);
    buf_release(&out);
    return err == OK ? 0 : fail(err);
}

static int verify(const char *path)
{
    struct buf problems;
    buf_init(&problems, 16 << 20);
    enum err err = segment_verify(path, &problems);
    if (problems.n)
        fwrite(problems.p, 1, problems.n, stdout);
    if (err == OK)
        printf("%s: good\n", path);
    int code = err == OK ? 0 : problems.n ? 1 : fail(err);
    buf_release(&problems);
    return code;
}

static int cat(const char *path)
{
    struct buf problems;
    buf_init(&problems, 16 << 20);
    enum err err = segment_cat(path, print_line, NULL, &problems);
    if (problems.n)
        fwrite(problems.p, 1, problems.n, stderr);
    int code = err == OK ? 0 : problems.n ? 1 : fail(err);
    buf_release(&problems);
    return code;
}

int cmd_segment(int argc, char **argv)
{
    struct options o;
    int status = options_parse(&o, &segment_command, argc, argv);
    if (status >= 0)
        return status;
    int verb = 0, worst = 0;
    while (verbs[verb] && strcmp(o.arg[0], verbs[verb]) != 0)
        verb++;
    if (!verbs[verb])
        return options_fail(&segment_command,
                            "unknown command %s; there are inspect, verify and cat", o.arg[0]);
    for (unsigned i = 1; i < o.n_args; i++) {
        int code = verb == 0
                       ? inspect(o.arg[i], options_has(&o, "json"), options_has(&o, "templates"))
                   : verb == 1 ? verify(o.arg[i])
                               : cat(o.arg[i]);
        worst = code > worst ? code : worst;
    }
    return worst;
}
