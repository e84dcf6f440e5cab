/* A pattern is cut into the parts between its slashes. A part without a wildcard is a name; one
 * with some is matched by fnmatch; a capture is what is left between the literal text before and
 * behind it. */
#include "input/tail_glob.h"

#include "core/buf.h"
#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <sys/stat.h>

enum { PARTS_MAX = 64, PATH_BYTES_MAX = 4096, DEPTH_MAX = 64 };

struct part {
    char *glob; /* for fnmatch */
    bool wild, any_depth;
    struct str before, behind; /* of a capture, literal text */
    bool captures;
};

struct tail_glob {
    struct part part[PARTS_MAX];
    unsigned n;
    bool absolute;
};

void tail_glob_free(struct tail_glob *g)
{
    if (!g)
        return;
    for (unsigned i = 0; i < g->n; i++) {
        mem_free(g->part[i].glob);
        mem_free((char *)(uintptr_t)g->part[i].before.p);
        mem_free((char *)(uintptr_t)g->part[i].behind.p);
    }
    mem_free(g);
}

static bool has_wildcard(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (strchr("*?[", s.p[i]))
            return true;
    return false;
}

static struct str copy(struct str s)
{
    return str_of(mem_strdup(s), s.n);
}

static enum err make_capture(struct part *p, struct str text, size_t open)
{
    size_t close = str_find_byte(text, '>', open);
    struct str name = str_of(text.p + open + 1, close == text.n ? 0 : close - open - 1);
    if (close == text.n || !str_eq(name, STR("service")))
        return err_set(ERR_INVALID, "in \"%.*s\": <service> is what can be captured",
                       STR_ARG(text));
    struct str before = str_of(text.p, open), behind = str_from(text, close + 1);
    if (str_find_byte(behind, '<', 0) < behind.n || has_wildcard(before) || has_wildcard(behind))
        return err_set(ERR_INVALID,
                       "in \"%.*s\": beside <service> a part of the path may have no wildcard",
                       STR_ARG(text));
    p->captures = p->wild = true;
    p->before = copy(before);
    p->behind = copy(behind);
    p->glob = mem_strdup(STR("*"));
    return OK;
}

static enum err make_part(struct part *p, struct str text)
{
    size_t open = str_find_byte(text, '<', 0);
    if (open < text.n)
        return make_capture(p, text, open);
    p->any_depth = str_eq(text, STR("**"));
    p->wild = has_wildcard(text);
    p->glob = mem_strdup(text);
    return OK;
}

enum err tail_glob_new(struct str pattern, struct tail_glob **ret)
{
    struct tail_glob *g = NEW(struct tail_glob);
    struct str rest = pattern, text;
    enum err err = OK;
    unsigned captures = 0;
    g->absolute = str_starts(pattern, STR("/"));
    while (err == OK && str_split(&rest, '/', &text)) {
        if (!text.n)
            continue;
        if (g->n == PARTS_MAX) {
            err = err_set(ERR_LIMIT, "a pattern has at most %d parts", PARTS_MAX);
            break;
        }
        err = make_part(&g->part[g->n], text);
        captures += g->part[g->n++].captures;
    }
    if (err == OK && (!g->n || str_ends(pattern, STR("/")) || g->part[g->n - 1].any_depth))
        err = err_set(ERR_INVALID, "the pattern \"%.*s\" names no files", STR_ARG(pattern));
    if (err == OK && captures > 1)
        err = err_set(ERR_INVALID, "the pattern \"%.*s\" has <service> twice", STR_ARG(pattern));
    if (err != OK) {
        tail_glob_free(g);
        return err;
    }
    *ret = g;
    return OK;
}

/* Whether a name fits the part, with what it captures in *ret. */
static bool fits(const struct part *p, struct str name, struct str *ret)
{
    char text[PATH_BYTES_MAX];
    if (p->captures) {
        if (name.n <= p->before.n + p->behind.n || !str_starts(name, p->before) ||
            !str_ends(name, p->behind) || name.p[0] == '.')
            return false;
        *ret = str_of(name.p + p->before.n, name.n - p->before.n - p->behind.n);
        return ret->n <= TAIL_CAPTURE_MAX;
    }
    snprintf(text, sizeof(text), "%.*s", STR_ARG(name));
    return fnmatch(p->glob, text, FNM_PERIOD) == 0;
}

static bool match_from(const struct tail_glob *g, unsigned at, struct str rest, struct str *ret)
{
    struct str name;
    while (rest.n && rest.p[0] == '/')
        rest = str_from(rest, 1);
    if (at == g->n)
        return !rest.n;
    if (!rest.n)
        return false;
    name = str_of(rest.p, str_find_byte(rest, '/', 0));
    if (g->part[at].any_depth)
        return match_from(g, at + 1, rest, ret) || (name.n < rest.n && name.p[0] != '.' &&
                                                    match_from(g, at, str_from(rest, name.n), ret));
    return fits(&g->part[at], name, ret) && match_from(g, at + 1, str_from(rest, name.n), ret);
}

bool tail_glob_match(const struct tail_glob *g, struct str path, struct str *ret_service)
{
    *ret_service = (struct str){0};
    if (!g->absolute && str_starts(path, STR("./")))
        path = str_from(path, 2);
    return str_starts(path, STR("/")) == g->absolute && match_from(g, 0, path, ret_service);
}

/* ---- walking ---- */

struct glob_walk {
    struct tail_glob *g;
    const struct tail_glob_visitor *v;
    char path[PATH_BYTES_MAX];
    char service[TAIL_CAPTURE_MAX + 1];
    unsigned found, depth;
};

static enum err walk_from(struct glob_walk *w, unsigned at, size_t n);

static enum err take_path(struct glob_walk *w)
{
    struct stat st;
    if (stat(w->path, &st) != 0 || S_ISDIR(st.st_mode))
        return OK;
    if (w->found++ >= TAIL_GLOB_FILES_MAX)
        return err_set(ERR_LIMIT, "a pattern matches more than %d files", TAIL_GLOB_FILES_MAX);
    w->v->file(w->v->ctx, w->path, str_c(w->service));
    return OK;
}

/* Goes into path[0..n) + name with part `at`; leaves the path as it was. */
static enum err step(struct glob_walk *w, unsigned at, size_t n, const char *name)
{
    size_t length = strlen(name);
    bool slash = n > 0 && w->path[n - 1] != '/';
    if (n + slash + length + 1 > sizeof(w->path))
        return OK;
    if (slash)
        w->path[n] = '/';
    memcpy(w->path + n + slash, name, length + 1);
    enum err err = at == w->g->n ? take_path(w) : walk_from(w, at, n + slash + length);
    w->path[n] = '\0';
    return err;
}

static bool is_folder(struct glob_walk *w, size_t n, const char *name)
{
    struct stat st;
    char path[PATH_BYTES_MAX * 2];
    snprintf(path, sizeof(path), "%.*s/%s", (int)n, w->path, name);
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static enum err try_entry(struct glob_walk *w, unsigned at, size_t n, const char *name)
{
    const struct part *p = &w->g->part[at];
    struct str service = {0};
    if (p->any_depth)
        return name[0] != '.' && is_folder(w, n, name) ? step(w, at, n, name) : OK;
    if (!fits(p, str_c(name), &service))
        return OK;
    if (p->captures)
        snprintf(w->service, sizeof(w->service), "%.*s", STR_ARG(service));
    enum err err = step(w, at + 1, n, name);
    if (p->captures)
        w->service[0] = '\0';
    return err;
}

/* The path so far is the first n bytes; part `at` comes next. */
static enum err walk_from(struct glob_walk *w, unsigned at, size_t n)
{
    const struct part *p = &w->g->part[at];
    const char *folder = n ? w->path : ".";
    if (!p->wild && at + 1 < w->g->n)
        return step(w, at + 1, n, p->glob);
    if (w->depth >= DEPTH_MAX)
        return OK;
    DIR *dir = opendir(folder);
    if (!dir && errno == ENOENT && w->v->folder)
        w->v->folder(w->v->ctx, folder); /* it may come */
    if (!dir)
        return OK;
    w->depth++;
    enum err err = OK;
    if (w->v->folder)
        w->v->folder(w->v->ctx, folder);
    if (p->any_depth)
        err = walk_from(w, at + 1, n);
    if (!p->wild)
        err = step(w, at + 1, n, p->glob);
    for (struct dirent *e; err == OK && p->wild && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            err = try_entry(w, at, n, e->d_name);
    closedir(dir);
    w->depth--;
    return err;
}

enum err tail_glob_walk(struct tail_glob *g, const struct tail_glob_visitor *v)
{
    struct glob_walk *w = NEW(struct glob_walk);
    w->g = g;
    w->v = v;
    w->path[0] = g->absolute ? '/' : '\0';
    enum err err = walk_from(w, 0, g->absolute ? 1 : 0);
    mem_free(w);
    return err;
}
