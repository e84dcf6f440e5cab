/* Outputs, other machines, and files to follow, as weir check tries them: nothing is sent. */
#include "cmd/check.h"

#include "core/arena.h"
#include "core/mem.h"
#include "core/url.h"
#include "net/dial.h"
#include "output/outputs.h"

#include <glob.h>
#include <stdio.h>
#include <unistd.h>

enum { TIMEOUT_MS = 3000 };

static unsigned usual_port(struct str scheme)
{
    static const struct {
        const char *scheme;
        unsigned port;
    } ports[] = {{"http", 80},       {"https", 443},       {"kafka", 9092},
                 {"forward", 24224}, {"opensearch", 9200}, {"elasticsearch", 9200},
                 {"loki", 3100},     {"otlp", 4318},       {"openobserve", 5080},
                 {"syslog", 514}};
    struct str base = str_of(scheme.p, str_find_byte(scheme, '+', 0));
    if (str_ends(scheme, STR("+tls")) && str_starts(scheme, STR("http")))
        return 443;
    if (str_eq_c(scheme, "syslog+tls"))
        return 6514;
    for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++)
        if (str_eq_c(base, ports[i].scheme))
            return ports[i].port;
    return 0;
}

/* host may name several brokers: the first answers for them. */
static void try_to_connect(const struct url *url, struct finding *f)
{
    char address[300];
    unsigned port = url->has_port ? url->port : usual_port(url->scheme);
    struct str host = str_of(url->host.p, str_find_byte(url->host, ',', 0));
    struct dial *d;
    if (!port) {
        found(f, SKIPPED, "it names no port");
        return;
    }
    if (str_eq_c(url->scheme, "syslog") || str_eq_c(url->scheme, "syslog+udp")) {
        found(f, SKIPPED, "by UDP nobody answers");
        return;
    }
    snprintf(address, sizeof(address), "%.*s:%u", STR_ARG(host), port);
    struct dial_options o = {.host = host, .port = port};
    if (dial_open(&o, TIMEOUT_MS, &d) == OK) {
        dial_close(d);
        found(f, GOOD, "%s answers", address);
        return;
    }
    found(f, FAILED, "%s", err_text());
    advise(f,
           "start what listens at %s, or correct the address (name, port, firewall); meanwhile "
           "records wait in the queue",
           address);
}

static void try_weir(const struct url *url, struct finding *f)
{
    struct buf plain;
    buf_init(&plain, SIZE_MAX);
    url_put_plain(url, &plain);
    buf_put_byte(&plain, '\0');
    if (f->status == GOOD && !is_weir_at(plain.p)) {
        found(f, FAILED, "%s answers, but is no weir server", plain.p);
        advise(f, "http:// is another Weir; other receivers have a scheme of their own, such as "
                  "opensearch://");
    }
    buf_release(&plain);
}

static void try_folder(const struct url *url, struct finding *f)
{
    struct str path = url->path;
    while (path.n > 1 && path.p[path.n - 1] != '/')
        path.n--;
    char *folder = mem_strdup(path);
    if (can_write_to(folder)) {
        found(f, GOOD, "%s can be written", folder);
    } else {
        found(f, FAILED, "%s cannot be written", folder);
        advise(f, "make the folder, and give it to the user that runs weir (uid %u)", geteuid());
    }
    mem_free(folder);
}

static void try_url(const char *text, bool output, struct finding *f)
{
    struct arena a;
    struct url url;
    arena_init(&a, 0, NULL);
    if (url_parse(str_c(text), &a, &url) != OK) {
        found(f, FAILED, "%s", err_text());
        advise(f, "correct the URL");
    } else if (url.host.n) {
        try_to_connect(&url, f);
        if (output && (str_eq_c(url.scheme, "http") || str_eq_c(url.scheme, "https")))
            try_weir(&url, f);
    } else if (url.path.n) {
        try_folder(&url, f);
    } else {
        found(f, GOOD, "%.*s:// needs nothing", STR_ARG(url.scheme));
    }
    arena_release(&a);
}

void check_peer(const char *url, struct finding *f)
{
    try_url(url, false, f);
}

void check_output(const char *url, struct finding *f)
{
    struct output *o;
    if (output_open(output_types, str_c(url), &o) != OK) {
        found(f, FAILED, "%s", err_text());
        advise(f, "correct the URL; docs/outputs.md has those of all outputs");
        return;
    }
    output_close(o);
    try_url(url, true, f);
}

void check_pattern(const char *pattern, struct finding *f)
{
    struct str p = str_c(pattern);
    size_t open = str_find(p, STR("<service>"));
    char *plain = open == SIZE_MAX ? mem_strdup(p)
                                   : mem_printf("%.*s*%s", (int)open, p.p, pattern + open + 9);
    glob_t g;
    const char *unreadable = NULL;
    if (str_find(p, STR("://")) != SIZE_MAX) {
        found(f, SKIPPED, "not tried");
    } else if (glob(plain, 0, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++)
            unreadable = access(g.gl_pathv[i], R_OK) != 0 ? g.gl_pathv[i] : unreadable;
        found(f, unreadable ? FAILED : GOOD, "%zu files match%s%s", g.gl_pathc,
              unreadable ? ", but this one cannot be read: " : "", unreadable ? unreadable : "");
        if (unreadable)
            advise(f, "let the user that runs weir (uid %u) read it, for one by its group",
                   geteuid());
        globfree(&g);
    } else {
        found(f, WARNING, "no file matches yet");
        advise(f, "files that appear later are found; else correct the pattern");
    }
    mem_free(plain);
}
