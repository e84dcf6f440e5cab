/* Which streams an index expression means: a comma list of names, of patterns with '*', and of
 * either behind a '-'; _all and nothing are "*". Patterns find no stream whose name begins with '_'
 * or '.', unless they begin so themselves. */
#include "api/es.h"

enum { NAMES_MAX = 1024 };

struct resolving {
    const struct stream_stats *stream;
    size_t n;
    bool *in;
    uint32_t names;
};

static bool is_hidden(struct str name, struct str pattern)
{
    return name.n && (name.p[0] == '_' || name.p[0] == '.') &&
           !(pattern.n && pattern.p[0] == name.p[0]);
}

/* How many streams the part names. */
static size_t take_part(struct resolving *r, struct str part)
{
    size_t found = 0;
    bool without = r->names && part.n > 1 && part.p[0] == '-';
    if (without)
        part = str_from(part, 1);
    if (str_eq_c(part, "_all"))
        part = STR("*");
    for (size_t i = 0; i < r->n; i++) {
        if (!str_glob(part, r->stream[i].name) || is_hidden(r->stream[i].name, part))
            continue;
        r->in[i] = !without;
        found++;
    }
    return without ? 1 : found;
}

static bool is_pattern(struct str part)
{
    return str_find_byte(part, '*', 0) < part.n || str_eq_c(part, "_all");
}

enum err es_resolve(struct api *api, struct str expression, bool ignore_missing, struct arena *a,
                    struct es_streams *ret)
{
    struct stream_stats *stream;
    struct str rest = expression.n ? expression : STR("*"), part;
    size_t n;
    TRY(store_streams(api->store, API_ORG, a, &stream, &n));
    struct resolving r = {.stream = stream, .n = n, .in = ARENA_ARRAY(a, bool, n + 1)};
    while (str_split(&rest, ',', &part)) {
        part = str_trim(part);
        if (!part.n)
            continue;
        size_t found = take_part(&r, part);
        if (!found && !is_pattern(part) && !ignore_missing)
            return err_set(ERR_NOTFOUND, "no such index [%.*s]", part.n < 200 ? (int)part.n : 200,
                           part.p);
        if (++r.names > NAMES_MAX)
            return err_set(ERR_INVALID, "more than %d names of indices", NAMES_MAX);
    }
    *ret = (struct es_streams){.stream = ARENA_ARRAY(a, struct stream_stats, n + 1)};
    for (size_t i = 0; i < n; i++)
        if (r.in[i])
            ret->stream[ret->n++] = stream[i];
    return OK;
}

bool es_resolve_path(struct api *api, struct http_request *r, struct str expression,
                     struct arena *a, struct es_streams *ret)
{
    bool ignore = false;
    if (!es_is_ready(api, r) || !es_param_bool(r, "ignore_unavailable", &ignore))
        return false;
    enum err err = es_resolve(api, expression, ignore, a, ret);
    if (err == ERR_NOTFOUND)
        es_error(r, 404, "index_not_found_exception", "%s", err_text());
    else if (err != OK)
        es_error_of(r, err, err_text());
    return err == OK;
}

void es_want(const struct es_streams *s, struct arena *a, struct query_request *q)
{
    struct str *name = ARENA_ARRAY(a, struct str, s->n + 1);
    for (size_t i = 0; i < s->n; i++)
        name[i] = s->stream[i].name;
    q->streams = name;
    q->n_streams = (uint32_t)s->n;
    if (!s->n) /* no stream is not every stream */
        q->from = q->to = 0;
}
