/* _search, _msearch, _count, scrolling, points in time, and one document by its id.
 *
 * A search body becomes a find (query/dsl_search.h), is run once and written out. Scrolls and
 * points in time are kept nowhere: their ids hold all that is needed to go on, the index, the body,
 * the instant up to which records count by their arrival, and the place of the last hit. So nothing
 * runs out, nothing has to be given back, and any server can go on. */
#include "api/es.h"

#include "core/clock.h"
#include "core/mem.h"
#include "query/dsl_search.h"
#include "record/json.h"
#include "record/timestamp.h"

#include <inttypes.h>

enum { SEARCHES_MAX = 256 };

/* One search under way. */
struct searching {
    struct api *api;
    struct http_request *r;
    struct arena arena;
    struct dsl dsl;
    struct dsl_search search;
    struct str index;
    json_t *body; /* owned */
    struct es_token token;
    bool scroll, as_int, typed;
    struct find find;
    struct query_request request;
};

static void searching_init(struct searching *s, struct api *api, struct http_request *r)
{
    *s = (struct searching){.api = api, .r = r};
    arena_init(&s->arena, 0, NULL);
    find_init(&s->find);
    dsl_init(&s->dsl, &s->arena, clock_now_ns());
}

static void searching_release(struct searching *s)
{
    json_decref(s->body);
    json_decref(s->token.body);
    json_decref(s->token.after);
    find_release(&s->find);
    arena_release(&s->arena);
}

/* ---- what is looked for ---- */

/* Only what had arrived by then: later pages must not see more than the first. */
static enum err up_to(struct searching *s, int64_t arrival_ns)
{
    char text[TIME_TEXT_MAX];
    const struct filter *f;
    struct filter_bound high = {str_of(text, time_rfc3339(arrival_ns, text)), true};
    TRY(filter_range(&s->arena, STR("ingested_at"), (struct filter_bound){0}, high, s->dsl.now_ns,
                     &f));
    s->search.filter = filter_and(&s->arena, s->search.filter, f);
    return OK;
}

static enum err read_search(struct searching *s)
{
    struct es_token *t = &s->token;
    TRY(dsl_search(&s->dsl, s->body, &s->search));
    if (s->search.pit.n) {
        if (s->index.n)
            return err_set(ERR_INVALID, "a search in a point in time names no index");
        TRY(es_token_read(s->search.pit, &s->arena, t));
        s->index = t->index;
    }
    if (s->scroll) {
        if (json_object_get(s->body, "from") || json_object_get(s->body, "search_after"))
            return err_set(ERR_INVALID, "from and search_after do not go with a scroll");
        TRY(dsl_read_sort(&s->dsl, json_object_get(s->body, "sort"), true, &s->search));
        TRY(dsl_read_after(&s->dsl, t->after, &s->search));
        if (!t->arrival_ns)
            t->arrival_ns = s->dsl.now_ns;
    }
    return t->arrival_ns ? up_to(s, t->arrival_ns) : OK;
}

static enum err run_search(struct searching *s, bool ignore_missing)
{
    struct es_streams streams;
    struct find *f = &s->find;
    struct dsl_search *search = &s->search;
    TRY(es_resolve(s->api, s->index, ignore_missing, &s->arena, &streams));
    s->request = (struct query_request){.org = API_ORG,
                                        .from = INT64_MIN,
                                        .to = INT64_MAX,
                                        .now_ns = s->dsl.now_ns,
                                        .deadline_ns = search->timeout_ns,
                                        .canceled = http_canceled(s->r)};
    if (s->token.after) /* a page behind the first: the total is known */
        search->total_max = 0;
    es_want(&streams, &s->arena, &s->request);
    f->request = &s->request;
    f->filter = search->filter;
    f->keys = search->keys;
    f->oldest = search->oldest;
    f->beyond = search->beyond;
    f->after = search->after;
    f->from = search->from;
    f->size = search->size;
    f->total_max = search->total_max;
    if (!s->token.after)
        dsl_groups(search->aggs, f);
    return find_run(s->api->engine, f);
}

/* ---- the answer ---- */

struct hits_out {
    struct searching *s;
    struct buf *out;
    bool any;
    const struct hit *last;
};

static enum err put_hit(void *ctx, const struct hit *hit, struct str line)
{
    struct hits_out *o = ctx;
    const struct dsl_search *search = &o->s->search;
    struct str whole = {0};
    if (search->n_fields) {
        whole.n = str_find_byte(line, '\n', 0);
        whole.p = line.p;
        line = str_from(line, whole.n + 1);
    }
    if (o->any)
        buf_put_byte(o->out, ',');
    o->any = true;
    o->last = hit;
    TRY(buf_add(o->out, line.p, line.n - 2)); /* without "}\n" */
    buf_put_c(o->out, search->scores ? ",\"_score\":1.0" : ",\"_score\":null");
    if (search->version)
        buf_put_c(o->out, ",\"_version\":1");
    if (search->n_fields)
        es_put_fields(o->out, search, hit, whole, &o->s->arena);
    if (search->n_shown) {
        buf_put_c(o->out, ",\"sort\":");
        dsl_put_sort(o->out, search, hit, search->n_shown);
    }
    buf_put_byte(o->out, '}');
    return OK;
}

static void put_total(struct searching *s, struct buf *out)
{
    const struct dsl_search *search = &s->search;
    struct es_token *t = &s->token;
    if (!t->after) {
        t->more = s->find.total > search->total_max;
        t->total = t->more ? search->total_max : s->find.total;
    }
    if (!t->after && !search->total_max)
        return;
    if (s->as_int)
        buf_printf(out, "\"total\":%" PRIu64 ",", t->total);
    else
        buf_printf(out, "\"total\":{\"value\":%" PRIu64 ",\"relation\":\"%s\"},", t->total,
                   t->more ? "gte" : "eq");
}

static void put_shards(struct buf *out, const struct query_meta *meta)
{
    if (meta->complete) {
        buf_put_c(out, ES_SHARDS);
        return;
    }
    buf_put_c(out, "\"_shards\":{\"total\":1,\"successful\":0,\"skipped\":0,\"failed\":1,"
                   "\"failures\":[{\"shard\":0,\"index\":null,\"reason\":{\"type\":"
                   "\"corrupt_data\",\"reason\":");
    json_put_string(out, str_c(meta->warning));
    buf_put_c(out, "}}]}");
}

static void put_scroll(struct searching *s, const struct hit *last, struct buf *out)
{
    struct es_token *t = &s->token;
    struct buf after;
    buf_init(&after, ES_ANSWER_MAX);
    t->index = s->index;
    if (!t->body) {
        t->body = json_deep_copy(s->body);
        json_object_del(t->body, "aggs");
        json_object_del(t->body, "aggregations");
    }
    if (last) {
        dsl_put_sort(&after, &s->search, last, s->search.n_sorts);
        json_decref(t->after);
        t->after = json_loadb(after.p, after.n, 0, NULL);
    }
    buf_put_c(out, "\"_scroll_id\":\"");
    es_token_write(t, out);
    buf_put_c(out, "\",");
    buf_release(&after);
}

static enum err put_answer(struct searching *s, struct buf *out)
{
    const struct dsl_search *search = &s->search;
    struct document_style document = {search->source,  search->include,   search->n_include,
                                      search->exclude, search->n_exclude, search->n_fields > 0};
    struct row_style style = {.document = &document};
    struct buf hits;
    struct hits_out o = {.s = s, .out = &hits};
    enum err err;
    buf_init(&hits, ES_ANSWER_MAX);
    TRY_OUT(find_each(&s->find, &style, &o, put_hit));
    buf_put_byte(out, '{');
    if (search->pit.n) {
        buf_put_c(out, "\"pit_id\":");
        json_put_string(out, search->pit);
        buf_put_byte(out, ',');
    }
    struct buf body;
    buf_init(&body, ES_ANSWER_MAX);
    buf_printf(&body, "\"took\":%lld,\"timed_out\":false,",
               (long long)(s->find.meta.took_ns / NS_PER_MS));
    put_shards(&body, &s->find.meta);
    buf_put_c(&body, ",\"hits\":{");
    put_total(s, &body);
    buf_printf(&body, "\"max_score\":%s,\"hits\":[", search->scores && o.any ? "1.0" : "null");
    if (s->scroll)
        put_scroll(s, o.last, out);
    buf_put_str(out, buf_str(&body));
    buf_release(&body);
    TRY_OUT(buf_add(out, hits.p, hits.n));
    buf_put_c(out, "]}");
    if (search->aggs && s->find.n_groups) {
        buf_put_c(out, ",\"aggregations\":");
        TRY_OUT(dsl_put_aggs(search->aggs, &s->find, &s->arena, out));
    }
    buf_put_byte(out, '}');
out:
    buf_release(&hits);
    return err;
}

static enum err search(struct searching *s, bool ignore_missing, struct buf *out)
{
    TRY(read_search(s));
    TRY(run_search(s, ignore_missing));
    return put_answer(s, out);
}

static void reply_failed(struct http_request *r, enum err err)
{
    if (err == ERR_NOTFOUND)
        es_error(r, 404, "index_not_found_exception", "%s", err_text());
    else if (err == ERR_INVALID)
        es_error(r, 400, "parsing_exception", "%s", err_text());
    else
        es_error_of(r, err, err_text());
}

static void reply_search(struct searching *s, enum err err, struct buf *out)
{
    if (err != OK)
        reply_failed(s->r, err);
    else
        es_reply(s->r, 200, buf_str(out));
    buf_release(out);
    searching_release(s);
}

/* What /{index}/VERB and /VERB begin with; false: answered. */
static bool searching_begin(struct searching *s, struct api *api, struct http_request *r,
                            const char *verb, struct buf *out, bool *ignore_missing)
{
    struct str first = http_path_segment(r, 0);
    *ignore_missing = false;
    if (!es_is_ready(api, r) || !es_param_bool(r, "ignore_unavailable", ignore_missing))
        return false;
    searching_init(s, api, r);
    buf_init(out, ES_ANSWER_MAX);
    s->index = str_eq_c(first, verb) ? STR("") : first;
    return true;
}

void es_search(void *ctx, struct http_request *r)
{
    struct searching s;
    struct buf out;
    bool ignore;
    if (!searching_begin(&s, ctx, r, "_search", &out, &ignore))
        return;
    s.scroll = http_param(r, "scroll").n > 0;
    s.as_int = str_eq_c(http_param(r, "rest_total_hits_as_int"), "true");
    enum err err = es_read_json(r, &s.body);
    if (err == OK)
        err = es_add_params(r, &s.body);
    if (err == OK)
        err = search(&s, ignore, &out);
    reply_search(&s, err, &out);
}

/* ---- scrolling ---- */

static enum err read_scroll_id(struct http_request *r, struct arena *a, struct str *ret)
{
    json_t *body = NULL;
    enum err err = es_read_json(r, &body);
    const char *id = json_string_value(json_object_get(body, "scroll_id"));
    *ret = id ? arena_str(a, str_c(id)) : http_param(r, "scroll_id");
    if (!ret->n && !str_eq_c(http_path_segment(r, 1), "") && http_path_segment(r, 2).n)
        *ret = http_path_segment(r, 2);
    json_decref(body);
    TRY(err);
    return ret->n ? OK : err_set(ERR_INVALID, "scroll_id is expected");
}

void es_scroll(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct searching s;
    struct buf out;
    struct str id;
    if (!es_is_ready(api, r))
        return;
    searching_init(&s, api, r);
    buf_init(&out, ES_ANSWER_MAX);
    s.scroll = true;
    s.as_int = str_eq_c(http_param(r, "rest_total_hits_as_int"), "true");
    enum err err = read_scroll_id(r, &s.arena, &id);
    if (err == OK)
        err = es_token_read(id, &s.arena, &s.token);
    if (err == OK) {
        s.index = s.token.index;
        s.body = json_incref(s.token.body);
        err = search(&s, true, &out);
    }
    reply_search(&s, err, &out);
}

/* Nothing was kept. */
void es_close_scroll(void *ctx, struct http_request *r)
{
    es_reply(r, 200, STR("{\"succeeded\":true,\"num_freed\":1}\n"));
}

void es_open_pit(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct es_streams streams;
    struct es_token token = {.arrival_ns = clock_now_ns(), .index = http_path_segment(r, 0)};
    struct buf out;
    if (!es_resolve_path(api, r, token.index, http_arena(r), &streams))
        return;
    buf_init(&out, ES_ANSWER_MAX);
    /* Under the names of both families of clients. */
    buf_put_c(&out, "{\"id\":\"");
    es_token_write(&token, &out);
    buf_put_c(&out, "\",\"pit_id\":\"");
    es_token_write(&token, &out);
    buf_printf(&out, "\"," ES_SHARDS ",\"creation_time\":%lld}\n",
               (long long)(token.arrival_ns / NS_PER_MS));
    es_reply_buf(r, OK, &out);
}

/* ---- several searches ---- */

static void put_failure(struct buf *out, enum err err)
{
    const char *type = err == ERR_NOTFOUND  ? "index_not_found_exception"
                       : err == ERR_INVALID ? "parsing_exception"
                                            : es_error_type(err);
    buf_put_c(out, "{\"error\":");
    es_put_error(out, type, err_text());
    buf_printf(out, ",\"status\":%u}", http_status_of(err));
}

/* The index of a header line, a text or an array of them, and whether one may be missing. */
static enum err read_header(struct searching *s, struct str line, bool *ret_ignore)
{
    json_t *header = json_loadb(line.n ? line.p : "{}", line.n ? line.n : 2, 0, NULL);
    const json_t *index = json_object_get(header, "index");
    enum err err = header ? OK : err_set(ERR_INVALID, "a header line is no JSON");
    if (index && !json_is_null(index) && err == OK) {
        const struct str *name;
        uint32_t n;
        err = dsl_names(&s->dsl, index, &name, &n);
        s->index = STR("");
        for (uint32_t i = 0; err == OK && i < n; i++)
            s->index = arena_printf(&s->arena, "%.*s%s%.*s", STR_ARG(s->index), i ? "," : "",
                                    STR_ARG(name[i]));
    }
    if (err == OK && header)
        err = dsl_bool(&s->dsl, header, "ignore_unavailable", ret_ignore);
    json_decref(header);
    return err;
}

static enum err one_of_many(struct api *api, struct http_request *r, struct str header,
                            struct str line, struct buf *out)
{
    struct searching s;
    searching_init(&s, api, r);
    struct str first = http_path_segment(r, 0);
    size_t before = out->n;
    s.index = str_eq_c(first, "_msearch") ? STR("") : first;
    s.as_int = str_eq_c(http_param(r, "rest_total_hits_as_int"), "true");
    bool ignore = false;
    enum err err = read_header(&s, header, &ignore);
    s.body = json_loadb(line.p ? line.p : "", line.n, 0, NULL);
    if (err == OK && !s.body)
        err = err_set(ERR_INVALID, "a search body is no JSON");
    if (err == OK)
        err = search(&s, ignore, out);
    if (err == OK) {
        out->n--;
        buf_put_c(out, ",\"status\":200}");
    } else {
        out->n = before;
        put_failure(out, err);
    }
    searching_release(&s);
    return err == ERR_CANCELED ? err : OK;
}

static struct str cut_line(struct str *rest)
{
    size_t end = str_find_byte(*rest, '\n', 0);
    struct str line = str_trim(str_of(rest->p, end));
    *rest = str_from(*rest, end + 1);
    return line;
}

void es_msearch(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    int64_t began = clock_mono_ns();
    struct buf out, inflated;
    struct str rest;
    uint32_t n = 0;
    if (!es_is_ready(api, r))
        return;
    buf_init(&out, ES_ANSWER_MAX);
    buf_init(&inflated, ES_JSON_MAX);
    enum err err = es_read_body(r, &inflated, &rest);
    buf_put_c(&out, "{\"responses\":[");
    while (err == OK && str_trim(rest).n) {
        struct str header = cut_line(&rest);
        if (n++ == SEARCHES_MAX)
            err = err_set(ERR_INVALID, "more than %d searches at once", SEARCHES_MAX);
        if (n > 1)
            buf_put_byte(&out, ',');
        if (err == OK)
            err = one_of_many(api, r, header, cut_line(&rest), &out);
    }
    buf_printf(&out, "],\"took\":%lld}\n", (long long)((clock_mono_ns() - began) / NS_PER_MS));
    buf_release(&inflated);
    es_reply_buf(r, err, &out);
}

/* ---- counting ---- */

static enum err count(struct searching *s, bool ignore_missing, struct buf *out)
{
    const char *key;
    json_t *value;
    json_object_foreach(s->body, key, value)
    {
        if (strcmp(key, "query") != 0)
            return err_set(ERR_INVALID, "[%.100s] is not supported in a count", key);
    }
    TRY(dsl_search(&s->dsl, s->body, &s->search));
    s->search.size = 0;
    s->search.total_max = UINT64_MAX;
    TRY(run_search(s, ignore_missing));
    buf_printf(out, "{\"count\":%" PRIu64 ",", (uint64_t)s->find.total);
    put_shards(out, &s->find.meta);
    buf_put_c(out, "}\n");
    return OK;
}

void es_count(void *ctx, struct http_request *r)
{
    struct searching s;
    struct buf out;
    bool ignore;
    if (!searching_begin(&s, ctx, r, "_count", &out, &ignore))
        return;
    enum err err = es_read_json(r, &s.body);
    if (err == OK)
        err = es_add_query_param(r, &s.body);
    if (err == OK)
        err = count(&s, ignore, &out);
    reply_search(&s, err, &out);
}

/* ---- one document ---- */

struct one {
    struct str line;
    struct arena *arena;
};

static enum err take_one(void *ctx, const struct hit *hit, struct str line)
{
    struct one *one = ctx;
    one->line = arena_str(one->arena, line);
    return OK;
}

static enum err find_one(struct searching *s, struct str id, struct one *one)
{
    struct document_style document = {.source = true};
    struct row_style style = {.document = &document};
    const struct filter *ids[] = {filter_equal(&s->arena, STR("_id"), id),
                                  filter_equal(&s->arena, STR("log_id"), id)};
    s->search = (struct dsl_search){.size = 1};
    s->search.filter = filter_list(&s->arena, FILTER_OR, ids, 2);
    TRY(run_search(s, false));
    return find_each(&s->find, &style, one, take_one);
}

void es_get_doc(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct searching s;
    struct buf out;
    struct str id = http_path_rest(r, 2);
    if (!es_is_ready(api, r))
        return;
    searching_init(&s, api, r);
    buf_init(&out, ES_ANSWER_MAX);
    struct one one = {.arena = &s.arena};
    s.index = http_path_segment(r, 0);
    enum err err = find_one(&s, id, &one);
    if (err == OK && one.line.n) {
        size_t at = str_find(one.line, STR(",\"_source\":"));
        buf_put(&out, one.line.p, at);
        buf_put_c(&out, ",\"_version\":1,\"_seq_no\":0,\"_primary_term\":1,\"found\":true");
        buf_put_str(&out, str_from(one.line, at));
        es_reply(r, 200, buf_str(&out));
    } else if (err == OK) {
        buf_put_c(&out, "{\"_index\":");
        json_put_string(&out, s.index);
        buf_put_c(&out, ",\"_id\":");
        json_put_string(&out, id);
        buf_put_c(&out, ",\"found\":false}\n");
        es_reply(r, 404, buf_str(&out));
    } else {
        reply_failed(r, err);
    }
    buf_release(&out);
    searching_release(&s);
}
