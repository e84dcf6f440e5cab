#include "pipeline/pipeline.h"

#include "core/clock.h"
#include "core/conf.h"
#include "core/hash.h"
#include "core/mem.h"
#include "pipeline/tag_glob.h"

#include <stdio.h>

enum { RECORDS_MAX = 1 << 20, BULK_BYTES_MAX = 64 << 20 };

static struct pipeline *add_pipeline(struct pipelines *set, const char *name)
{
    struct pipeline *p = ARENA_NEW(&set->arena, struct pipeline);
    *p = (struct pipeline){.arena = &set->arena};
    snprintf(p->name, sizeof(p->name), "%s", name);
    set->list[set->n++] = p;
    return p;
}

struct pipelines *pipelines_new(void)
{
    struct pipelines *set = NEW(struct pipelines);
    set->holders = 1;
    arena_init(&set->arena, 0, NULL);
    add_pipeline(set, "");
    return set;
}

static void release_pipeline(struct pipeline *p)
{
    chain_free(p->chain);
    stages_free(p->stages);
    for (unsigned i = 0; i < p->n_routes; i++)
        chain_free(p->route[i].chain);
}

struct pipelines *pipelines_hold(struct pipelines *set)
{
    set->holders++;
    return set;
}

void pipelines_free(struct pipelines *set)
{
    if (!set || --set->holders)
        return;
    for (unsigned i = 0; i < set->n; i++)
        release_pipeline(set->list[i]);
    arena_release(&set->arena);
    mem_free(set);
}

enum err pipeline_add_file(struct pipeline *p, const char *pattern)
{
    if (p->n_files == PIPELINE_FILES_MAX)
        return err_set(ERR_LIMIT, "at most %d patterns of files", PIPELINE_FILES_MAX);
    p->file[p->n_files++] = arena_str(p->arena, str_c(pattern)).p;
    return OK;
}

enum err pipeline_add_input(struct pipeline *p, const char *url)
{
    if (p->n_inputs == INPUTS_MAX)
        return err_set(ERR_LIMIT, "at most %d inputs", INPUTS_MAX);
    p->input[p->n_inputs++] = arena_str(p->arena, str_c(url)).p;
    return OK;
}

enum err pipeline_add_source(struct pipeline *p, const char *url)
{
    static const char *const followed[] = {"kubernetes://", "docker://", "journald://", "stdin://"};
    for (size_t i = 0; i < sizeof(followed) / sizeof(*followed); i++)
        if (str_starts(str_c(url), str_c(followed[i])))
            return pipeline_add_file(p, url);
    return pipeline_add_input(p, url);
}

/* What the URL says, in the letters of a file's name, without credentials. */
static void name_of_url(struct str url, char out[ROUTE_NAME_MAX + 1])
{
    size_t n = 0, scheme = str_find(url, STR("://")), at = str_find(url, STR("@"));
    url = str_of(url.p, str_find_byte(url, '?', 0));
    for (size_t i = 0; i < url.n && n < ROUTE_NAME_MAX; i++) {
        char c = url.p[i];
        if (at != SIZE_MAX && scheme != SIZE_MAX && i >= scheme + 3 && i <= at)
            continue;
        c = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '.' && n);
        if (plain || (n && out[n - 1] != '-'))
            out[n++] = plain ? c : '-';
    }
    while (n && out[n - 1] == '-')
        n--;
    out[n] = '\0';
}

static enum err add_route(struct pipeline *p, const char *name, const char *url,
                          struct pipeline_route **ret)
{
    if (p->n_routes == PIPELINE_ROUTES_MAX)
        return err_set(ERR_LIMIT, "at most %d routes", PIPELINE_ROUTES_MAX);
    struct pipeline_route *r = &p->route[p->n_routes];
    *r = (struct pipeline_route){.output = arena_str(p->arena, str_c(url)).p,
                                 .hash = hash64(str_c(url))};
    if (name)
        snprintf(r->name, sizeof(r->name), "%s", name);
    else
        name_of_url(str_c(url), r->name);
    for (unsigned i = 0; i < p->n_routes; i++)
        if (!strcmp(p->route[i].name, r->name))
            return err_set(ERR_INVALID, "the route \"%s\" is there twice: give one another name",
                           r->name);
    p->n_routes++;
    *ret = r;
    return OK;
}

enum err pipeline_add_route(struct pipeline *p, const char *url)
{
    struct pipeline_route *r;
    return add_route(p, NULL, url, &r);
}

/* ---- reading ---- */

/* A list of texts, or one. */
static enum err read_list(struct pipeline *p, const struct tree *t, const char *what,
                          enum err (*add)(struct pipeline *p, const char *text))
{
    uint32_t n = t->kind == TREE_LIST ? t->n : 1;
    for (uint32_t i = 0; i < n; i++) {
        const struct tree *item = t->kind == TREE_LIST ? &t->item[i] : t;
        if (item->kind != TREE_TEXT)
            return tree_error(item, "%s are wanted", what);
        unsigned had = p->n_inputs;
        if (add(p, item->text.p) != OK)
            return tree_error(item, "%s", err_text());
        if (p->n_inputs > had)
            p->input_at[had] = item;
    }
    return OK;
}

static enum err read_where(struct pipeline *p, const struct tree *t, struct pipeline_route *r)
{
    struct filter_options o = {.now_ns = clock_now_ns()};
    if (t->kind != TREE_TEXT)
        return tree_error(t, "where: a query is wanted, such as 'level:ERROR'");
    r->where = arena_str(p->arena, t->text).p;
    enum err err = filter_parse(str_c(r->where), &o, p->arena, &r->filter, NULL, NULL);
    return err == OK ? OK : tree_error(t, "%s", err_text());
}

/* A condition on the tag, and `where` beside it. */
static enum err read_tag(struct pipeline *p, const struct tree *t, struct pipeline_route *r)
{
    struct filter_options o = {.now_ns = clock_now_ns()};
    struct buf query;
    if (t->kind != TREE_TEXT)
        return tree_error(t, "tag: patterns are wanted, such as app.**");
    buf_init(&query, SIZE_MAX);
    enum err err = tag_glob_query(t->text, &query);
    if (err == OK && r->where)
        buf_printf(&query, " AND (%s)", r->where);
    if (err == OK)
        err = filter_parse(arena_str(p->arena, buf_str(&query)), &o, p->arena, &r->filter, NULL,
                           NULL);
    buf_release(&query);
    if (err != OK)
        return tree_error(t, "%s", err_text());
    r->where = arena_printf(p->arena, "tag %.*s%s%s", STR_ARG(t->text), r->where ? " and " : "",
                            r->where ? r->where : "")
                   .p;
    return OK;
}

static enum err read_count(struct pipeline *p, const struct tree *t, const char *key, uint64_t max,
                           uint64_t *ret)
{
    const char *text;
    TRY(tree_text(t, key, NULL, p->arena, &text));
    if (text && (!str_to_bytes(str_c(text), ret) || !*ret || *ret > max))
        return tree_error(tree_get(t, key), "%s: from 1 to %llu is wanted", key,
                          (unsigned long long)max);
    return OK;
}

static enum err read_duration(struct pipeline *p, const struct tree *t, const char *key,
                              int64_t min, int64_t *ret)
{
    const char *text;
    TRY(tree_text(t, key, NULL, p->arena, &text));
    if (text && (!str_to_duration_ns(str_c(text), ret) || *ret < min || *ret > NS_PER_DAY))
        return tree_error(tree_get(t, key), "%s: a time such as 500ms or 5s is wanted, at most 1d",
                          key);
    return OK;
}

static enum err read_route_settings(struct pipeline *p, const struct tree *t,
                                    struct route_settings *s)
{
    TRY(read_count(p, t, "records", RECORDS_MAX, &s->gather.rows));
    TRY(read_count(p, t, "bytes", BULK_BYTES_MAX, &s->gather.bytes));
    TRY(read_duration(p, t, "wait", 0, &s->gather.wait_ns));
    s->has_wait = tree_get(t, "wait") != NULL;
    uint64_t parallel = s->parallel;
    TRY(read_count(p, t, "parallel", OUTPUT_PARALLEL_MAX, &parallel));
    s->parallel = (unsigned)parallel;
    TRY(read_duration(p, t, "retry_min", NS_PER_MS, &s->retry_min_ns));
    TRY(read_duration(p, t, "retry_max", NS_PER_MS, &s->retry_max_ns));
    return OK;
}

static enum err read_route(struct pipeline *p, const struct tree *t)
{
    static const char *const known[] = {"name",       "output",    "where",     "tag",
                                        "transforms", "records",   "bytes",     "wait",
                                        "parallel",   "retry_min", "retry_max", NULL};
    const char *name, *url;
    struct pipeline_route *r;
    if (t->kind != TREE_MAP)
        return tree_error(t, "a route is a map: output, and name, where, transforms");
    TRY(tree_check_keys(t, known));
    TRY(tree_text(t, "name", NULL, p->arena, &name));
    TRY(tree_text(t, "output", NULL, p->arena, &url));
    if (!url)
        return tree_error(t, "the route has no output, such as http://127.0.0.1:5080");
    if (add_route(p, name, url, &r) != OK)
        return tree_error(t, "%s", err_text());
    r->hash = tree_hash(t);
    r->at = tree_get(t, "output");
    if (route_check_name(r->name) != OK || (name && strlen(name) > ROUTE_NAME_MAX))
        return tree_error(name ? tree_get(t, "name") : t, "%s", err_text());
    const struct tree *where = tree_get(t, "where"), *list = tree_get(t, "transforms"),
                      *tag = tree_get(t, "tag");
    if (where)
        TRY(read_where(p, where, r));
    if (tag)
        TRY(read_tag(p, tag, r));
    TRY(read_route_settings(p, t, &r->settings));
    return list ? chain_new(list, &r->chain) : OK;
}

static enum err read_routes(struct pipeline *p, const struct tree *t)
{
    if (t->kind != TREE_LIST)
        return tree_error(t, "routes: a list is wanted");
    for (uint32_t i = 0; i < t->n; i++)
        TRY(read_route(p, &t->item[i]));
    return OK;
}

static enum err read_text(struct pipeline *p, const struct tree *t)
{
    const char *text = "false";
    TRY(tree_text(t, "text", "false", p->arena, &text));
    p->text = p->text || !strcmp(text, "true");
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return tree_error(tree_get(t, "text"), "text: true or false is wanted");
    return OK;
}

static enum err read_settings(struct pipeline *p, const struct tree *t)
{
    const struct {
        const char *key, **to;
    } texts[] = {
        {"stream", &p->stream},       {"service", &p->service},   {"host", &p->host},
        {"multiline", &p->multiline}, {"encoding", &p->encoding}, {"line_max", &p->line_max},
        {"spool", &p->spool},         {"watch", &p->watch},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        TRY(tree_text(t, texts[i].key, *texts[i].to, p->arena, texts[i].to));
    return read_text(p, t);
}

/* What a server has in its own settings is left to them. */
static enum err read_pipeline(struct pipeline *p, const struct tree *t, bool of_server)
{
    const struct tree *part;
    p->at = t;
    if (!of_server)
        TRY(read_settings(p, t));
    if (!of_server && (part = tree_get(t, "files")))
        TRY(read_list(p, part, "files: patterns such as /var/log/*.log", pipeline_add_file));
    if (!of_server && (part = tree_get(t, "inputs")))
        TRY(read_list(p, part, "inputs: URLs such as syslog+udp://127.0.0.1:5514",
                      pipeline_add_source));
    if ((part = p->transforms = tree_get(t, "transforms"))) {
        TRY(chain_new(part, &p->chain));
        TRY(stages_new(part, &p->stages));
    }
    part = tree_get(t, "routes");
    return part ? read_routes(p, part) : OK;
}

static const char *const agent_keys[] = {
    "files", "inputs", "stream", "service", "host",       "multiline", "encoding",  "line_max",
    "spool", "text",   "watch",  "listen",  "transforms", "routes",    "pipelines", NULL};

static enum err read_named(struct pipelines *set, const struct tree *key, const struct tree *t)
{
    if (route_check_name(key->text.p) != OK)
        return tree_error(key, "a pipeline's name: %s", err_text());
    if (t->kind != TREE_MAP)
        return tree_error(t, "a pipeline is a map: files, inputs, transforms, routes");
    if (set->n == PIPELINES_MAX)
        return tree_error(key, "at most %d pipelines", PIPELINES_MAX - 1);
    for (uint32_t i = 0; i < t->n; i++)
        if (str_eq_c(t->key[i].text, "pipelines") || str_eq_c(t->key[i].text, "listen"))
            return tree_error(&t->key[i], "%s stands at the top alone", t->key[i].text.p);
    TRY(tree_check_keys(t, agent_keys));
    return read_pipeline(add_pipeline(set, key->text.p), t, false);
}

enum err pipelines_move_routes(struct pipelines *set, const char *name, const char *url)
{
    struct pipeline *from = set->list[0];
    for (unsigned i = 1; i < set->n; i++)
        if (!strcmp(set->list[i]->name, name))
            return err_set(ERR_INVALID, "a pipeline has the name \"%s\", which is taken", name);
    if (set->n == PIPELINES_MAX)
        return err_set(ERR_INVALID, "at most %d pipelines", PIPELINES_MAX - 1);
    struct pipeline *to = add_pipeline(set, name);
    memcpy(to->route, from->route, sizeof(to->route));
    to->n_routes = from->n_routes;
    from->n_routes = 0;
    return pipeline_add_input(to, url);
}

/* What has words of both: routes behind a queue, or a pipeline that leads to it, are a server's.
 */
static bool would_run(const struct tree *t)
{
    const struct tree *named = tree_get(t, "pipelines");
    if (tree_get(t, "routes") && !tree_get(t, "inputs"))
        return false;
    for (uint32_t i = 0; named && named->kind == TREE_MAP && i < named->n; i++)
        if (named->item[i].kind == TREE_MAP && !tree_get(&named->item[i], "routes"))
            return false;
    return true;
}

/* A group of a server's settings, such as queue. */
static bool is_settings(struct str key)
{
    for (const struct conf_setting *s = conf_table; s->name; s++)
        if (str_starts(str_c(s->name), key) && s->name[key.n] == '.')
            return true;
    return false;
}

/* Whether a document is an agent's: it says so by what a server's has not. */
static bool is_agents(const struct tree *t)
{
    static const char *const says[] = {"files",     "stream",   "service",  "host",
                                       "multiline", "encoding", "line_max", "spool",
                                       "text",      "watch",    "listen",   NULL};
    for (int i = 0; says[i]; i++)
        if (tree_get(t, says[i]))
            return true;
    for (uint32_t i = 0; t->kind == TREE_MAP && i < t->n; i++) {
        bool known = false;
        for (int k = 0; agent_keys[k]; k++)
            known = known || str_eq_c(t->key[i].text, agent_keys[k]);
        if (!known && is_settings(t->key[i].text))
            return false;
        if (!known &&
            (t->item[i].kind == TREE_MAP || memchr(t->key[i].text.p, '.', t->key[i].text.n)))
            return false;
        if (!known && tree_nearest(t->key[i].text, says))
            return true;
    }
    return would_run(t);
}

/* Nothing but comments: nobody's, and fine with all. */
static bool says_nothing(const struct tree *t)
{
    static const char *const nothing[] = {"", "~", "null", "Null", "NULL", NULL};
    for (int i = 0; t->kind == TREE_TEXT && !t->quoted && nothing[i]; i++)
        if (str_eq_c(t->text, nothing[i]))
            return true;
    return t->kind == TREE_MAP && !t->n;
}

static enum err read_document(struct pipelines *set, const struct tree *t, enum pipelines_of of)
{
    const struct tree *named;
    set->nothing = says_nothing(t);
    if (set->nothing) {
        set->server = of != PIPELINES_AGENT;
        return OK;
    }
    if (t->kind != TREE_MAP)
        return tree_error(t, "the file must be a map: files, inputs, transforms, routes");
    set->server = of == PIPELINES_SERVER || (of == PIPELINES_EITHER && !is_agents(t));
    if (!set->server)
        TRY(tree_check_keys(t, agent_keys));
    TRY(read_pipeline(set->list[0], t, set->server));
    if (!set->server)
        TRY(tree_text(t, "listen", NULL, &set->arena, &set->listen));
    if (!(named = tree_get(t, "pipelines")))
        return OK;
    if (named->kind != TREE_MAP)
        return tree_error(named, "pipelines: a map of names is wanted");
    for (uint32_t i = 0; i < named->n; i++)
        TRY(read_named(set, &named->key[i], &named->item[i]));
    return OK;
}

/* What a pipeline needs to be one. A server's may hand its records to the server's own queue. */
static enum err check_whole(const struct pipelines *set, const struct tree *t)
{
    for (unsigned i = 1; i < set->n; i++) {
        const struct pipeline *p = set->list[i];
        bool in = p->n_files || p->n_inputs, direct = set->server && !p->n_files;
        if (!in || (!p->n_routes && !direct))
            return err_set(ERR_INVALID, "%s: the pipeline \"%s\" has no %s", t->file, p->name,
                           in ? "routes" : "files and no inputs");
    }
    return OK;
}

const char *pipelines_lack(const struct pipelines *set)
{
    const struct pipeline *p = set->list[0];
    bool in = p->n_files || p->n_inputs || set->listen;
    if (in)
        return p->n_routes ? NULL : "--output is";
    if (p->n_routes)
        return "--file, --input or --listen is";
    return set->n > 1 ? NULL : "--file, --input or --listen, and --output are";
}

enum err pipelines_read(struct pipelines *set, struct str yaml, const char *name,
                        enum pipelines_of of)
{
    struct tree *t = ARENA_NEW(&set->arena, struct tree);
    TRY(tree_read(yaml, name, &set->arena, t));
    TRY(read_document(set, t, of));
    return check_whole(set, t);
}

enum err pipelines_load(struct pipelines *set, const char *path, enum pipelines_of of)
{
    struct tree *t = ARENA_NEW(&set->arena, struct tree);
    TRY(tree_read_file(path, &set->arena, t));
    TRY(read_document(set, t, of));
    return check_whole(set, t);
}
