/* What the patterns mean: paths of files, or URLs of what else can be followed.
 *
 *   kubernetes://[/var/log/pods][?api=URL&token=FILE&ca=FILE]   also /var/log/containers
 *   docker://[/var/lib/docker/containers]
 *   journald://[/folder]
 *   stdin://
 */
#include "core/mem.h"
#include "core/url.h"
#include "input/kube.h"
#include "input/tail_impl.h"
#include "wire/container.h"

#define PODS "/var/log/pods"
enum { POD_ID_LEAST = 32 };
#define CONTAINERS "/var/lib/docker/containers"

static enum err add_glob(struct tail *t, const char *glob, const struct tail_source *source)
{
    struct tail_glob *g;
    TRY(tail_glob_new(str_c(glob), &g));
    size_t cap = t->n_patterns;
    ARRAY_GROW(t->pattern, cap, t->n_patterns + 1);
    t->pattern[t->n_patterns++] = (struct tail_pattern){g, source};
    return OK;
}

/* The files below the source's folder. Rotated ones end in a date or a number. */
static enum err add_globs(struct tail *t, const struct tail_source *s, const char *const *ends)
{
    enum err err = OK;
    for (; err == OK && *ends; ends++) {
        char *glob = mem_printf("%s/%s", s->folder, *ends);
        err = add_glob(t, glob, s);
        mem_free(glob);
    }
    return err;
}

static const char *param(const struct url *u, const char *name, struct arena *a)
{
    struct str value = url_get(u, name);
    return value.n ? arena_str(a, value).p : NULL;
}

static enum err open_kube(struct tail_source *s, const struct url *u, struct arena *a)
{
    struct kube_options o = {
        .api = param(u, "api", a), .token = param(u, "token", a), .ca = param(u, "ca", a)};
    return kube_new(&o, &s->kube);
}

static enum err add_containers(struct tail *t, const struct url *u, struct arena *a)
{
    static const char *const pods[] = {"*/*/*.log", "*/*/*.log.[0-9]*", "*.log", NULL};
    static const char *const docker[] = {"*/*-json.log", "*/*-json.log.[0-9]*", NULL};
    bool kubernetes = str_eq(u->scheme, STR("kubernetes"));
    struct str folder = u->path;
    while (folder.n > 1 && folder.p[folder.n - 1] == '/')
        folder.n--;
    if (folder.n < 2)
        folder = kubernetes ? STR(PODS) : STR(CONTAINERS);
    struct tail_source *s = NEW(struct tail_source);
    size_t cap = t->n_sources;
    ARRAY_GROW(t->source, cap, t->n_sources + 1);
    t->source[t->n_sources++] = s;
    s->kind = kubernetes ? TAIL_KUBERNETES : TAIL_DOCKER;
    s->folder = mem_strdup(folder);
    if (kubernetes)
        TRY(open_kube(s, u, a));
    return add_globs(t, s, kubernetes ? pods : docker);
}

static enum err check_url(const struct url *u)
{
    static const char *const schemes[] = {"kubernetes", "docker", "journald", "stdin", NULL};
    static const char *const known[] = {"api", "token", "ca", NULL}, *const none[] = {NULL};
    if (u->host.n)
        return err_set(ERR_INVALID, "a path is wanted behind %.*s://, not the host \"%.*s\"",
                       STR_ARG(u->scheme), STR_ARG(u->host));
    for (const char *const *s = schemes; *s; s++)
        if (str_eq_c(u->scheme, *s))
            return url_check_params(u, s == schemes ? known : none);
    return url_unknown_scheme("input", u->scheme, schemes);
}

enum err tail_check_url(struct str text)
{
    struct arena a;
    struct url u;
    arena_init(&a, 0, NULL);
    enum err err = url_parse(text, &a, &u);
    if (err == OK)
        err = check_url(&u);
    arena_release(&a);
    return err;
}

static enum err add_url(struct tail *t, const struct url *u, struct arena *a)
{
    TRY(check_url(u));
    if (str_eq(u->scheme, STR("kubernetes")) || str_eq(u->scheme, STR("docker")))
        return add_containers(t, u, a);
    if (str_eq(u->scheme, STR("journald")) && !t->journal)
        return tail_journal_new(arena_str(a, u->path).p, &t->journal);
    if (str_eq(u->scheme, STR("stdin")) && !t->stdin) {
        t->stdin = tail_stdin_new(t);
        return OK;
    }
    return err_set(ERR_INVALID, "%.*s:// can be followed once", STR_ARG(u->scheme));
}

static enum err add_pattern(struct tail *t, const char *pattern)
{
    struct arena a;
    struct url u;
    if (str_find(str_c(pattern), STR("://")) >= strlen(pattern))
        return add_glob(t, pattern, NULL);
    arena_init(&a, 0, NULL);
    enum err err = url_parse(str_c(pattern), &a, &u);
    if (err == OK)
        err = add_url(t, &u, &a);
    arena_release(&a);
    return err;
}

enum err tail_sources_open(struct tail *t)
{
    enum err err = OK;
    for (unsigned i = 0; err == OK && t->o.pattern[i]; i++)
        err = add_pattern(t, t->o.pattern[i]);
    return err;
}

static void free_sources(struct tail_source **list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        kube_free(list[i]->kube);
        mem_free(list[i]->folder);
        mem_free(list[i]);
    }
    mem_free(list);
}

/* Files know the source they were found by: those stay for them. */
static void retire_sources(struct tail *t, struct tail *n)
{
    size_t cap = t->n_retired;
    ARRAY_GROW(t->retired, cap, t->n_retired + n->n_sources);
    for (unsigned i = 0; i < n->n_sources; i++)
        t->retired[t->n_retired++] = n->source[i];
    n->n_sources = 0;
    for (size_t i = 0; i < t->n; i++) {
        struct tail_file *f = t->file[i];
        const struct tail_source *now = tail_source_of(t, f->link ? f->link : f->e.path);
        if (!f->source || !now)
            continue;
        f->source = now;
        tail_about_free(f->about);
        f->about = NULL;
    }
}

void tail_sources_swap(struct tail *t, struct tail *n)
{
    bool same_journal = t->journal && n->journal &&
                        !strcmp(tail_journal_folder(t->journal), tail_journal_folder(n->journal));
    SWAP(t->pattern, n->pattern);
    SWAP(t->n_patterns, n->n_patterns);
    SWAP(t->source, n->source);
    SWAP(t->n_sources, n->n_sources);
    if (!same_journal)
        SWAP(t->journal, n->journal);
    if (!t->stdin || !n->stdin)
        SWAP(t->stdin, n->stdin);
    retire_sources(t, n);
}

void tail_sources_close(struct tail *t)
{
    for (unsigned i = 0; i < t->n_patterns; i++)
        tail_glob_free(t->pattern[i].glob);
    free_sources(t->source, t->n_sources);
    free_sources(t->retired, t->n_retired);
    mem_free(t->pattern);
    tail_stdin_free(t->stdin);
    tail_journal_free(t->journal);
}

const struct tail_source *tail_source_of(const struct tail *t, const char *path)
{
    struct container_path is;
    for (unsigned i = 0; i < t->n_sources; i++) {
        struct str folder = str_c(t->source[i]->folder), rest = str_from(str_c(path), folder.n);
        if (str_starts(str_c(path), folder) && str_starts(rest, STR("/")))
            return t->source[i];
    }
    /* Behind a link to elsewhere. */
    for (unsigned i = 0; i < t->n_sources; i++)
        if (t->source[i]->kind == TAIL_KUBERNETES && container_path_read(str_c(path), &is) &&
            is.pod_id.n >= POD_ID_LEAST)
            return t->source[i];
    return NULL;
}
