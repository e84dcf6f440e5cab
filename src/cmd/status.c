/* weir status: GET /api/v1/stats and /api/v1/streams, for people. */
#include "cmd/commands.h"
#include "cmd/remote.h"

#include <jansson.h>
#include <stdio.h>

static const struct option_def option_defs[] = {
    REMOTE_OPTIONS,
    {"json", 'j', NULL, "The server's own answer."},
    {0},
};
const struct command status_command = {
    .name = "status",
    .summary = "Shows how a server is: memory, queue, store, streams",
    .usage = "[options]",
    .text = "Shows how a server is: memory by owner, the queue, the store and its streams.",
    .options = option_defs,
};

static double number(const json_t *from, const char *name)
{
    return json_number_value(json_object_get(from, name));
}

static void print_bytes(const char *label, const json_t *from, const char *name)
{
    char text[STR_BYTES_TEXT];
    printf("  %-22s %12s\n", label, str_put_bytes(text, (uint64_t)number(from, name)));
}

static void print_count(const char *label, const json_t *from, const char *name)
{
    printf("  %-22s %12.0f\n", label, number(from, name));
}

static void print_memory(const json_t *memory)
{
    const char *name;
    json_t *value;
    printf("\nmemory\n");
    print_bytes("resident", memory, "resident");
    print_bytes("budget", memory, "budget");
    print_bytes("reserved", memory, "reserved");
    json_t *owners = json_object_get(memory, "owners");
    json_object_foreach(owners, name, value)
    {
        char text[STR_BYTES_TEXT];
        if (json_number_value(value) > 0)
            printf("    %-20s %12s\n", name,
                   str_put_bytes(text, (uint64_t)json_number_value(value)));
    }
}

static void print_queue(const json_t *q)
{
    printf("\nqueue\n");
    print_bytes("on disk", q, "bytes");
    print_count("files", q, "files");
    print_count("bodies appended", q, "appended_bodies");
    print_count("syncs", q, "syncs");
    print_bytes("waiting", q, "waiting_bytes");
    if (number(q, "quarantined_entries") > 0)
        print_count("QUARANTINED entries", q, "quarantined_entries");
}

static void print_store(const json_t *s)
{
    printf("\nstore\n");
    print_count("records in segments", s, "segment_rows");
    print_count("records in memory", s, "memtable_rows");
    print_count("segments", s, "segments");
    print_bytes("bytes of segments", s, "segment_bytes");
    if (number(s, "segment_bytes") > 0)
        printf("  %-22s %11.1fx\n", "smaller than JSON",
               number(s, "segment_raw_bytes") / number(s, "segment_bytes"));
    if (number(s, "unreadable_segments") > 0)
        print_count("UNREADABLE segments", s, "unreadable_segments");
    const json_t *copies = json_object_get(s, "copies");
    if (copies) {
        print_bytes("local copies of them", copies, "bytes");
        print_bytes("fetched", copies, "fetched_bytes");
        if (number(copies, "not_stored") > 0)
            print_count("only here, yet", copies, "not_stored");
    }
    if (json_is_true(json_object_get(s, "cut_failing")))
        printf("  the last write of a segment FAILED; it is being tried again (see the server's "
               "log)\n");
    const char *oldest = json_string_value(json_object_get(s, "oldest"));
    const char *newest = json_string_value(json_object_get(s, "newest"));
    if (oldest && newest)
        printf("  %-22s %s\n  %-22s %s\n", "oldest record", oldest, "newest record", newest);
}

static void print_streams(const json_t *streams)
{
    size_t i;
    json_t *s;
    printf("\n%-32s %12s %12s  %s\n", "stream", "records", "bytes", "newest");
    json_array_foreach(streams, i, s)
    {
        char text[STR_BYTES_TEXT];
        const char *to = json_string_value(json_object_get(s, "to"));
        printf("%-32s %12.0f %12s  %s\n", json_string_value(json_object_get(s, "name")),
               number(s, "rows"), str_put_bytes(text, (uint64_t)number(s, "bytes")), to ? to : "-");
    }
}

/* NULL: explained. */
static json_t *get(struct http_client *c, const char *path, bool verbatim)
{
    struct http_answer a = {0};
    json_t *json = NULL;
    buf_init(&a.body, 64 << 20);
    http_client_begin(c, "GET", path);
    if (http_client_send(c, STR(""), 30000, NULL, NULL, &a) != OK)
        options_fail(&status_command, "%s", err_text());
    else if (a.status != 200)
        remote_explain(&status_command, &a);
    else if (!(json = json_loadb(a.body.p, a.body.n, 0, NULL)))
        options_fail(&status_command, "the answer of %s is no JSON", path);
    else if (verbatim)
        printf("%.*s", (int)a.body.n, a.body.p);
    buf_release(&a.body);
    return json;
}

static int run(const struct options *o, struct http_client *c)
{
    bool verbatim = options_has(o, "json");
    json_t *stats = get(c, "/api/v1/stats", verbatim);
    if (!stats || verbatim) {
        json_decref(stats);
        return stats ? 0 : 1;
    }
    bool ready = json_is_true(json_object_get(stats, "ready"));
    printf("weir %s at %s, up %.0f s, %s\n", json_string_value(json_object_get(stats, "version")),
           remote_url(o), number(stats, "uptime_s"), ready ? "ready" : "replaying its queue");
    print_memory(json_object_get(stats, "memory"));
    print_queue(json_object_get(stats, "queue"));
    print_store(json_object_get(stats, "store"));
    json_decref(stats);
    json_t *streams = get(c, "/api/v1/streams", false);
    if (!streams)
        return 1;
    print_streams(json_object_get(streams, "streams"));
    json_decref(streams);
    return 0;
}

int cmd_status(int argc, char **argv)
{
    struct options o;
    struct http_client *c;
    int status = options_parse(&o, &status_command, argc, argv);
    if (status >= 0)
        return status;
    if (remote_open(&o, &c) != OK)
        return options_fail(&status_command, "%s", err_text());
    status = run(&o, c);
    http_client_free(c);
    return status;
}
