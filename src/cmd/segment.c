/* weir segment: looks into the files of the store, without a server. */
#include "cmd/commands.h"

#include "store/segment.h"

#include <stdio.h>

static const char help[] =
    "usage: weir segment inspect [--json] FILE...\n"
    "       weir segment verify FILE...\n"
    "       weir segment cat FILE...\n"
    "\n"
    "Looks into segment files (DATA/segments/*): compressed, immutable, each complete in itself. "
    "None of\n"
    "these commands needs a server, and none changes anything.\n"
    "\n"
    "  inspect   what is in the file: streams, times, rows, and for each column its type, how many "
    "values\n"
    "            it has, the bytes it takes and how it is encoded (in how many blocks)\n"
    "  verify    reads every byte, checks every checksum and decodes every value; prints one line "
    "for each\n"
    "            fault and exits 1 when there is any\n"
    "  cat       prints every record as a line of JSON, stream by stream, in order of time. A "
    "damaged file\n"
    "            gives every record of its intact blocks; what is lost is said on standard error "
    "(exit 1)\n"
    "\n"
    "examples:\n"
    "  weir segment inspect data/segments/17.seg\n"
    "  weir segment inspect --json data/segments/17.seg | jq '.sections[].columns[] | {name, "
    "bytes}'\n"
    "  weir segment verify data/segments/*.seg && echo all good\n"
    "  weir segment cat data/segments/17.seg | grep timeout\n";

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

static int inspect(const char *path, bool json)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    enum err err = segment_inspect(path, json, &out);
    fwrite(out.p, 1, out.n, stdout);
    buf_release(&out);
    return err == OK ? 0 : fail(err);
}

static int verify(const char *path)
{
    struct buf problems;
    buf_init(&problems, 16 << 20);
    enum err err = segment_verify(path, &problems);
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
    fwrite(problems.p, 1, problems.n, stderr);
    int code = err == OK ? 0 : problems.n ? 1 : fail(err);
    buf_release(&problems);
    return code;
}

/* The first flag-free arguments are files. */
static int each_file(const char *verb, int argc, char **argv)
{
    bool json = false;
    int files = 0, worst = 0;
    for (int i = 0; i < argc; i++) {
        struct str arg = str_c(argv[i]);
        if (str_eq_c(arg, "--json") && str_eq_c(str_c(verb), "inspect")) {
            json = true;
            continue;
        }
        if (str_starts(arg, STR("--"))) {
            fprintf(stderr, "weir segment %s: unknown option %s; see weir segment --help\n", verb,
                    argv[i]);
            return 2;
        }
        files++;
        int code = verb[0] == 'i'   ? inspect(argv[i], json)
                   : verb[0] == 'v' ? verify(argv[i])
                                    : cat(argv[i]);
        worst = code > worst ? code : worst;
    }
    if (!files)
        fprintf(stderr, "weir segment %s: which file? See weir segment --help\n", verb);
    return files ? worst : 2;
}

int cmd_segment(int argc, char **argv)
{
    static const char *const verbs[] = {"inspect", "verify", "cat"};
    for (int i = 0; i < argc; i++)
        if (str_eq_c(str_c(argv[i]), "--help") || str_eq_c(str_c(argv[i]), "-h")) {
            fputs(help, stdout);
            return 0;
        }
    if (argc < 2) {
        fputs(help, stderr);
        return 2;
    }
    for (int v = 0; v < 3; v++)
        if (str_eq_c(str_c(argv[1]), verbs[v]))
            return each_file(verbs[v], argc - 2, argv + 2);
    fprintf(stderr, "weir segment: unknown command %s; there are inspect, verify and cat\n",
            argv[1]);
    return 2;
}
