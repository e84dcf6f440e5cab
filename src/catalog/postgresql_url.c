/* libpq, and the URLs that it takes.
 *
 * What libpq says about a URL may quote any part of it. So a password that would be read as
 * something else (it has a '/' or an '@' in it) is refused here, and libpq is asked about a URL
 * with other words in its place. Values of parameters are only looked at when a connection begins:
 * they are tried on one to a socket that does not exist. */
#include "catalog/postgresql.h"

#include "catalog/remote.h"
#include "core/buf.h"
#include "core/mem.h"
#include "core/url.h"

#include <pthread.h>
#include <stdio.h>

enum { URL_BYTES_MAX = 8192, NAMES_MAX = 128 };
#define NOWHERE "/dev/null/weir"

/* ---- the library ---- */

static struct libpq library;
static const struct remote_symbol symbols[] = {
#define X(name) {#name, offsetof(struct libpq, name)},
    LIBPQ_FUNCTIONS(X)
#undef X
};
static struct remote_library loaded = {
    .file = "libpq.so.5",
    .needs = "postgresql:// needs libpq (Debian's libpq5)",
    .old = "libpq is older than PostgreSQL 14",
    .symbol = symbols,
    .n = sizeof(symbols) / sizeof(*symbols),
    .table = &library,
};

static void load(void)
{
    (void)remote_load_library(&loaded);
}

enum err libpq_load(const struct libpq **ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    if (loaded.missing[0])
        return err_set(ERR_UNSUPPORTED, "%s", loaded.missing);
    *ret = &library;
    return OK;
}

/* ---- the URL ---- */

/* scheme://user:password@place/database?query */
struct parts {
    struct str scheme, user, password, rest, query;
    bool has_password;
};

static enum err take_apart(struct str url, struct parts *ret)
{
    struct parts p = {0};
    size_t query = str_find_byte(url, '?', 0);
    struct str before = str_of(url.p, query);
    p.query = str_from(url, query + 1);
    p.scheme = str_starts(url, STR("postgres://")) ? STR("postgres://") : STR("postgresql://");
    p.rest = str_from(before, p.scheme.n);
    size_t at = str_find_byte(p.rest, '@', 0);
    if (at < p.rest.n) {
        struct str who = str_of(p.rest.p, at);
        p.rest = str_from(p.rest, at + 1);
        size_t colon = str_find_byte(who, ':', 0);
        p.user = str_of(who.p, colon);
        p.has_password = colon < who.n;
        p.password = str_from(who, colon + 1);
        if (str_find_byte(who, '/', 0) < who.n || str_find_byte(p.rest, '@', 0) < p.rest.n)
            return err_set(ERR_INVALID, "in a user or password of a URL, '/' is written %%2F, '@' "
                                        "%%40, '?' %%3F");
    }
    *ret = p;
    return OK;
}

static enum err own_value(struct str s, const char *name, struct arena *a, const char **ret)
{
    struct str v;
    TRY(url_decode(s, name, a, &v));
    return remote_check_value(v, name, ret);
}

/* Takes what is Weir's own out of the parameters; the others stay as they are. */
static enum err own_params(struct str query, struct arena *a, struct buf *others,
                           struct pg_target *t)
{
    struct str param = {0};
    while (query.n && str_split(&query, '&', &param)) {
        if (str_starts(param, STR("schema="))) {
            TRY(own_value(str_from(param, 7), "schema", a, &t->schema));
        } else if (str_starts(param, STR("password_file="))) {
            TRY(own_value(str_from(param, 14), "password_file", a, &t->password_file));
        } else if (param.n) {
            buf_put_byte(others, others->n ? '&' : '?');
            buf_put_str(others, param);
        }
    }
    return OK;
}

/* The names of all parameters are checked here, for the sake of a suggestion. */
static enum err check_names(const struct libpq *pq, struct str query)
{
    const char *known[NAMES_MAX] = {"schema", "password_file", "ssl"};
    struct url u = {.scheme = STR("postgresql")};
    struct str param = {0};
    unsigned n = 3;
    PQconninfoOption *all = pq->PQconndefaults();
    for (PQconninfoOption *o = all; o && o->keyword && n + 1 < NAMES_MAX; o++)
        known[n++] = o->keyword;
    while (query.n && str_split(&query, '&', &param) && u.n_params < URL_PARAMS_MAX)
        if (param.n)
            u.param[u.n_params++].name = str_of(param.p, str_find_byte(param, '=', 0));
    enum err err = all ? url_check_params(&u, known) : OK;
    pq->PQconninfoFree(all);
    return err;
}

/* libpq's messages are lines. */
static void put_message(char *to, size_t size, const char *message)
{
    snprintf(to, size, "%s", message ? message : "out of memory");
    for (size_t n = strlen(to); n && to[n - 1] == '\n';)
        to[--n] = 0;
}

static enum err refuse(const struct libpq *pq, char *message)
{
    char text[200];
    put_message(text, sizeof(text), message);
    pq->PQfreemem(message);
    return err_set(ERR_INVALID, "%s", text);
}

static void put_url(struct buf *out, const struct parts *p, struct str password, struct str query)
{
    buf_clear(out);
    buf_put_str(out, p->scheme);
    buf_put_str(out, p->user);
    if (p->has_password) {
        buf_put_byte(out, ':');
        buf_put_str(out, password);
    }
    if (p->user.n || p->has_password)
        buf_put_byte(out, '@');
    buf_put_str(out, p->rest);
    buf_put_str(out, query);
    buf_put_byte(out, 0);
}

static PQconninfoOption *try_url(const struct libpq *pq, const struct parts *p, struct str password,
                                 struct str query, char **message)
{
    struct buf text;
    buf_init(&text, URL_BYTES_MAX);
    put_url(&text, p, password, query);
    PQconninfoOption *all = pq->PQconninfoParse(text.p, message);
    buf_release(&text);
    return all;
}

static enum err parse(const struct libpq *pq, const struct parts *p, struct str query,
                      PQconninfoOption **ret)
{
    char *message = NULL;
    PQconninfoOption *all = try_url(pq, p, STR("x"), query, &message);
    if (!all && str_find(query, STR("password")) == SIZE_MAX)
        return refuse(pq, message);
    if (!all)
        pq->PQfreemem(message);
    pq->PQconninfoFree(all);
    all = try_url(pq, p, p->password, query, &message);
    if (!all) {
        pq->PQfreemem(message);
        return err_set(ERR_INVALID, "the URL, or a password in it, is not written well: '%%' is "
                                    "%%25, '&' is %%26");
    }
    *ret = all;
    return OK;
}

/* ---- what libpq is given ---- */

static const char *value_of(const struct pg_target *t, unsigned n, const char *name)
{
    for (unsigned i = 0; i < n; i++)
        if (!strcmp(t->name[i], name))
            return t->value[i];
    return NULL;
}

/* Of several the one that takes writes. */
static bool has_several_hosts(const struct pg_target *t, unsigned n)
{
    const char *host = value_of(t, n, "host"), *address = value_of(t, n, "hostaddr");
    return (host && strchr(host, ',')) || (address && strchr(address, ','));
}

/* A peer that is gone without a word is noticed in seconds, not hours. */
static const char *const defaults[][2] = {
    {"application_name", "weir"}, {"connect_timeout", "5"},  {"keepalives_idle", "10"},
    {"keepalives_interval", "5"}, {"keepalives_count", "3"}, {"tcp_user_timeout", "20000"},
};
enum { DEFAULTS = sizeof(defaults) / sizeof(*defaults) };

static void fill(struct arena *a, const PQconninfoOption *all, struct pg_target *t)
{
    unsigned n = 0, given;
    for (const PQconninfoOption *o = all; o->keyword; o++)
        n++;
    t->name = ARENA_ARRAY(a, const char *, n + DEFAULTS + 4);
    t->value = ARENA_ARRAY(a, const char *, n + DEFAULTS + 4);
    n = 0;
    for (const PQconninfoOption *o = all; o->keyword; o++) {
        if (!o->val || !strcmp(o->keyword, "client_encoding"))
            continue;
        t->name[n] = arena_str(a, str_c(o->keyword)).p;
        t->value[n++] = arena_str(a, str_c(o->val)).p;
    }
    given = n;
    for (unsigned i = 0; i < DEFAULTS; i++) {
        if (value_of(t, given, defaults[i][0]))
            continue;
        t->name[n] = defaults[i][0];
        t->value[n++] = defaults[i][1];
    }
    if (has_several_hosts(t, given) && !value_of(t, given, "target_session_attrs")) {
        t->name[n] = "target_session_attrs";
        t->value[n++] = "read-write";
    }
    t->name[n] = "client_encoding";
    t->value[n++] = "UTF8";
    t->name[n] = NULL;
    t->value[n] = NULL;
}

/* As many places as there are commas in the text, none of which can be reached. */
static const char *nowhere(struct arena *a, const char *hosts)
{
    struct buf b;
    buf_init(&b, URL_BYTES_MAX);
    buf_put_c(&b, NOWHERE);
    for (; *hosts; hosts++)
        if (*hosts == ',')
            buf_put_c(&b, "," NOWHERE);
    const char *all = arena_str(a, buf_str(&b)).p;
    buf_release(&b);
    return all;
}

static enum err check_ports(struct str ports)
{
    struct str port = {0};
    uint64_t v;
    while (ports.n && str_split(&ports, ',', &port))
        if (port.n && (!str_to_u64(port, &v) || !v || v > UINT16_MAX))
            return err_set(ERR_INVALID, "the port \"%.*s\" is no number from 1 to 65535",
                           port.n > 20 ? 20 : (int)port.n, port.p);
    return OK;
}

/* The values, as libpq looks at them before it connects; ports it would only look at later. */
static enum err check_values(const struct libpq *pq, const struct pg_target *t, struct arena *a)
{
    unsigned n = 0, k = 0;
    const char *hosts = "";
    while (t->name[n])
        n++;
    const char **name = ARENA_ARRAY(a, const char *, n + 2);
    const char **value = ARENA_ARRAY(a, const char *, n + 2);
    for (unsigned i = 0; i < n; i++) {
        bool address = !strcmp(t->name[i], "hostaddr");
        if (address || !strcmp(t->name[i], "host")) {
            hosts = address || !*hosts ? t->value[i] : hosts;
            continue;
        }
        if (!strcmp(t->name[i], "port"))
            TRY(check_ports(str_c(t->value[i])));
        name[k] = t->name[i];
        value[k++] = t->value[i];
    }
    name[k] = "host";
    value[k++] = nowhere(a, hosts);
    name[k] = value[k] = NULL;
    if (pq->PQpingParams(name, value, 0) != PQPING_NO_ATTEMPT)
        return OK;
    char text[200];
    PGconn *conn = pq->PQconnectStartParams(name, value, 0);
    put_message(text, sizeof(text), conn ? pq->PQerrorMessage(conn) : NULL);
    pq->PQfinish(conn);
    return err_set(ERR_INVALID, "%s", text);
}

static enum err read_target(const struct libpq *pq, struct str url, struct arena *a,
                            struct buf *query, struct pg_target *t)
{
    struct parts p;
    PQconninfoOption *all = NULL;
    TRY(take_apart(url, &p));
    TRY(check_names(pq, p.query));
    TRY(own_params(p.query, a, query, t));
    TRY(parse(pq, &p, buf_str(query), &all));
    fill(a, all, t);
    pq->PQconninfoFree(all);
    t->plain = sql_url_plain(url, a).p;
    unsigned n = 0;
    while (t->name[n])
        n++;
    if (t->password_file && value_of(t, n, "password"))
        return err_set(ERR_INVALID, "both a password and a password_file");
    return check_values(pq, t, a);
}

enum err pg_target_read(struct str url, struct arena *a, struct pg_target *ret)
{
    const struct libpq *pq;
    struct pg_target t = {0};
    struct buf query;
    if (url.n > URL_BYTES_MAX / 2)
        return err_set(ERR_LIMIT, "a URL of %zu bytes", url.n);
    TRY(libpq_load(&pq));
    buf_init(&query, URL_BYTES_MAX);
    enum err err = read_target(pq, url, a, &query, &t);
    buf_release(&query);
    if (err == OK)
        *ret = t;
    return err;
}

enum err sql_check_postgresql(struct str url)
{
    struct arena a;
    struct pg_target t;
    arena_init(&a, 0, NULL);
    enum err err = pg_target_read(url, &a, &t);
    arena_release(&a);
    return err;
}
