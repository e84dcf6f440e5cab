/* Lines of a container's log file: pieces of long lines are put together again, of each stream by
 * itself, and groups of lines (multiline) then, likewise.
 *
 * A piece waits for the rest of its line without any clock: it goes out as it is only when the file
 * is over (or the container was started again, with another file), or when it has grown past
 * line_max. A group waits for the next line of its stream, or
 * until QUIET_NS have passed without one, by the clock of the lines themselves or, at the end of
 * the file, by ours.
 *
 * A ROTATION may come between two pieces of a line: the old file then ends with a line that is
 * open, and the new one, which is called as the old one was, goes on with it. The new file's line
 * begins with what the old one's end has (tail_carry), and when it is handed on, both files have
 * moved, in one body.
 *
 * Nothing of this is kept between two reads: the offset stays where the first line begins that is
 * not whole, `ahead` says how far the other stream has been handed on beyond that, and the bytes
 * are read again. So a crash at any moment leaves nothing out and doubles nothing. */
#include "core/clock.h"
#include "core/mem.h"
#include "input/tail_impl.h"
#include "wire/container.h"

#include <sys/stat.h>

#define NO_TIME INT64_MIN
#define NOWHERE UINT64_MAX
enum { BEFORE_MAX = 32 }; /* files that are read one for the other */
#define QUIET_NS NS_PER_S
#define OVER_NS (3 * NS_PER_S) /* so long a gone file may get the rest of a line */

/* Of one stream. Places are those of the buffer. */
struct side {
    struct buf line, group;
    bool in_line, in_group;
    bool line_carried, group_carried;   /* it begins in the file before this one */
    size_t line_at, group_at;           /* where they begin */
    int64_t line_ns, group_ns, last_ns; /* times of the first line, and of the group's last */
    struct multiline_state state;
};

struct tail_assembly {
    struct side side[TAIL_STREAMS];
    struct buf scratch;
};

/* What the end of a file leaves open, of each stream. */
struct tail_carry {
    struct buf text[TAIL_STREAMS];
    int64_t time_ns[TAIL_STREAMS];
    uint64_t at[TAIL_STREAMS]; /* where in the file; NOWHERE: nothing is open */
    uint64_t end;              /* behind the last line */
};

struct cutting {
    struct tail *t;
    struct tail_file *f, *before; /* before: the file that this one goes on with; NULL: none */
    struct tail_assembly *a;
    int64_t newest_ns;
};

static struct tail_assembly *assembly_of(struct tail *t)
{
    if (!t->assembly) {
        t->assembly = NEW(struct tail_assembly);
        buf_init(&t->assembly->scratch, SIZE_MAX);
        for (unsigned i = 0; i < TAIL_STREAMS; i++) {
            buf_init(&t->assembly->side[i].line, SIZE_MAX);
            buf_init(&t->assembly->side[i].group, SIZE_MAX);
        }
    }
    return t->assembly;
}

void tail_assembly_free(struct tail_assembly *a)
{
    for (unsigned i = 0; a && i < TAIL_STREAMS; i++) {
        buf_release(&a->side[i].line);
        buf_release(&a->side[i].group);
    }
    if (a)
        buf_release(&a->scratch);
    mem_free(a);
}

static void clear(struct tail_assembly *a)
{
    for (unsigned i = 0; i < TAIL_STREAMS; i++) {
        struct side *s = &a->side[i];
        buf_clear(&s->line);
        buf_clear(&s->group);
        s->in_line = s->in_group = s->line_carried = s->group_carried = false;
        s->state = (struct multiline_state){0};
    }
}

/* ---- the file before ---- */

void tail_carry_free(struct tail_carry *c)
{
    for (unsigned i = 0; c && i < TAIL_STREAMS; i++)
        buf_release(&c->text[i]);
    mem_free(c);
}

/* Keeps what the end of the file leaves open. */
static void keep_carry(struct cutting *c, size_t end)
{
    bool any = false;
    tail_carry_free(c->f->carry);
    c->f->carry = NULL;
    for (unsigned i = 0; i < TAIL_STREAMS; i++)
        any = any || (c->a->side[i].in_line && !c->a->side[i].in_group);
    if (!any)
        return;
    struct tail_carry *carry = c->f->carry = NEW(struct tail_carry);
    carry->end = c->f->e.offset + end;
    for (unsigned i = 0; i < TAIL_STREAMS; i++) {
        const struct side *s = &c->a->side[i];
        bool open = s->in_line && !s->in_group && !s->line_carried;
        buf_init(&carry->text[i], SIZE_MAX);
        if (open)
            buf_put_str(&carry->text[i], buf_str(&s->line));
        carry->time_ns[i] = s->line_ns;
        carry->at[i] = open ? c->f->e.offset + s->line_at : NOWHERE;
    }
}

/* A path without what rotation adds: "0.log.20250215-120000" -> "0.log". */
static struct str without_rotation(const struct tail_file *f)
{
    struct str path = str_c(f->e.path);
    size_t name = path.n;
    while (name && path.p[name - 1] != '/')
        name--;
    size_t end = str_find(str_from(path, name), STR(".log"));
    return end < path.n ? str_of(path.p, name + end + 4) : path;
}

static int64_t written_ns(const struct tail_file *f)
{
    struct stat st;
    return fstat(f->fd, &st) == 0 ? st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec : 0;
}

/* The file that was written before this one under its name; NULL: none. */
static struct tail_file *file_before(const struct tail *t, const struct tail_file *f)
{
    struct tail_file *found = NULL;
    int64_t newest = INT64_MIN, own = written_ns(f);
    struct str name = without_rotation(f);
    for (size_t i = 0; i < t->n; i++) {
        struct tail_file *old = t->file[i];
        if (old == f || old->source != f->source || old->is_packed ||
            !str_eq(without_rotation(old), name))
            continue;
        int64_t at = written_ns(old);
        bool earlier = at < own || (at == own && strlen(old->e.path) > strlen(f->e.path));
        if (earlier && at > newest) {
            found = old;
            newest = at;
        }
    }
    return found;
}

enum err tail_container_before(struct tail *t, struct tail_file *f)
{
    struct tail_file *old = f->e.offset || f->is_packed ? NULL : file_before(t, f);
    enum err err = OK;
    if (!old || t->n_before == BEFORE_MAX)
        return OK;
    tail_file_look(t, old); /* what tells of its last lines may still be on its way */
    t->n_before++;
    for (bool more = old->dirty; err == OK && more && !tail_stopping(t);) {
        err = tail_file_read(t, old, &more);
        old->dirty = more;
    }
    t->n_before--;
    return err;
}

/* Lines that are open at the end of the file before it. */
static void take_carry(struct cutting *c)
{
    c->before = c->f->e.offset || c->f->is_packed ? NULL : file_before(c->t, c->f);
    if (c->before && !c->before->carry)
        c->before = NULL;
    for (unsigned i = 0; c->before && i < TAIL_STREAMS; i++) {
        const struct tail_carry *carry = c->before->carry;
        struct side *s = &c->a->side[i];
        if (carry->at[i] == NOWHERE || c->f->e.ahead[i])
            continue;
        s->in_line = s->line_carried = true;
        s->line_at = 0;
        s->line_ns = carry->time_ns[i];
        buf_put_str(&s->line, buf_str(&carry->text[i]));
    }
}

/* A line that the file before began has been handed on: there it is done with. */
static void settle_before(struct cutting *c, unsigned stream)
{
    struct tail_file *old = c->before;
    struct tail_carry *carry = old->carry;
    uint64_t to[TAIL_STREAMS], least = UINT64_MAX;
    carry->at[stream] = NOWHERE;
    for (unsigned i = 0; i < TAIL_STREAMS; i++) {
        to[i] = carry->at[i] != NOWHERE ? carry->at[i] : carry->end;
        least = to[i] < least ? to[i] : least;
    }
    tail_file_remember(old, least);
    for (unsigned i = 0; i < TAIL_STREAMS; i++)
        old->e.ahead[i] = to[i] > least ? to[i] : 0;
    old->touched = true;
}

/* ---- out ---- */

static enum err emit(struct cutting *c, unsigned stream, struct buf *text, int64_t time_ns)
{
    struct tail_line line = {
        .has_time = time_ns != NO_TIME, .time_ns = time_ns, .stream = container_streams[stream]};
    if (text->n && text->p[text->n - 1] == '\r')
        text->n--;
    if (!text->n)
        return OK;
    if (!buf_reserve(text, JSON_PADDING))
        BUG("a text buffer without a bound is full");
    line.text = buf_str(text);
    enum err err = tail_body_add(c->t, c->f, &line);
    buf_clear(text);
    return err;
}

static enum err emit_group(struct cutting *c, unsigned stream)
{
    struct side *s = &c->a->side[stream];
    if (!s->in_group)
        return OK;
    s->in_group = false;
    TRY(emit(c, stream, &s->group, s->group_ns));
    if (s->group_carried)
        settle_before(c, stream);
    s->group_carried = false;
    return OK;
}

/* ---- in ---- */

/* A line of the stream is whole. */
static enum err take_whole(struct cutting *c, unsigned stream)
{
    const struct multiline *m = c->t->o.multiline;
    struct side *s = &c->a->side[stream];
    struct str line = buf_str(&s->line);
    line.n -= line.n && line.p[line.n - 1] == '\r';
    bool goes_on = m && multiline_continues(m, &s->state, line) && s->in_group &&
                   s->group.n + line.n < c->t->o.line_max;
    s->in_line = false;
    if (!goes_on) {
        TRY(emit_group(c, stream));
        s->group_at = s->line_at;
        s->group_ns = s->line_ns;
        s->group_carried = s->line_carried;
        s->in_group = true;
    } else {
        buf_put_byte(&s->group, '\n');
    }
    s->line_carried = false;
    s->last_ns = s->line_ns;
    buf_put_str(&s->group, line);
    buf_clear(&s->line);
    return m ? OK : emit_group(c, stream);
}

static enum err take_piece(struct cutting *c, const struct container_line *l, size_t at)
{
    struct side *s = &c->a->side[l->stream];
    if (!s->in_line) {
        s->in_line = true;
        s->line_at = at;
        s->line_ns = l->time_ns;
        buf_clear(&s->line);
    }
    buf_put_str(&s->line, l->text);
    if (l->time_ns > c->newest_ns)
        c->newest_ns = l->time_ns;
    return l->is_partial && s->line.n < c->t->o.line_max ? OK : take_whole(c, l->stream);
}

/* What no runtime has written is taken as a line of the first stream, of no time. */
static enum err take_line(struct cutting *c, size_t at, struct str line)
{
    struct container_line l;
    if (!container_line_read(line, &c->a->scratch, &l))
        l = (struct container_line){.stream = CONTAINER_STDOUT, .time_ns = NO_TIME, .text = line};
    if (c->f->e.offset + at < c->f->e.ahead[l.stream])
        return OK;
    return take_piece(c, &l, at);
}

/* Whole lines of the file; *ret: behind the last. */
static enum err take_lines(struct cutting *c, const char *p, size_t n, size_t *ret)
{
    size_t at = 0;
    for (const char *lf; (lf = memchr(p + at, '\n', n - at)); at = (size_t)(lf - p) + 1)
        TRY(take_line(c, at, str_of(p + at, (size_t)(lf - (p + at)))));
    *ret = at;
    return OK;
}

/* ---- what is over ---- */

/* The number of restarts that a pod's file is named by: "0.log"; -1: it is named by something else.
 */
static long restarts_of(struct str path)
{
    size_t at = path.n;
    long n = 0;
    while (at && path.p[at - 1] != '/')
        at--;
    size_t from = at;
    for (; at < path.n && path.p[at] >= '0' && path.p[at] <= '9' && n < 100000000; at++)
        n = n * 10 + (path.p[at] - '0');
    return at > from && str_starts(str_from(path, at), STR(".log")) ? n : -1;
}

/* The container was started again since, and writes to another file of the folder: a line that this
 * one ends with has no rest. */
static bool was_restarted(const struct tail *t, const struct tail_file *f)
{
    const char *slash = strrchr(f->e.path, '/');
    struct str folder = str_of(f->e.path, slash ? (size_t)(slash - f->e.path) + 1 : 0);
    long n = restarts_of(str_c(f->e.path));
    for (size_t i = 0; i < t->n && n >= 0; i++) {
        struct str path = str_c(t->file[i]->e.path);
        if (str_starts(path, folder) && t->file[i]->size &&
            str_find_byte(str_from(path, folder.n), '/', 0) == path.n - folder.n &&
            restarts_of(path) > n)
            return true;
    }
    return false;
}

static enum err end_groups(struct cutting *c, bool quiet, bool over)
{
    for (unsigned i = 0; i < TAIL_STREAMS; i++) {
        struct side *s = &c->a->side[i];
        if (over && s->in_line)
            TRY(take_whole(c, i));
        bool old = s->last_ns != NO_TIME && c->newest_ns > s->last_ns + QUIET_NS;
        if (s->in_group && !s->in_line && (quiet || old || over))
            TRY(emit_group(c, i));
    }
    return OK;
}

/* Notes how far each stream is handed on; the least of them is the file's. */
static size_t settle(struct cutting *c, size_t end)
{
    size_t to[TAIL_STREAMS], least = end;
    for (unsigned i = 0; i < TAIL_STREAMS; i++) {
        const struct side *s = &c->a->side[i];
        uint64_t had = c->f->e.ahead[i] > c->f->e.offset ? c->f->e.ahead[i] - c->f->e.offset : 0;
        to[i] = s->in_group ? s->group_at : s->in_line ? s->line_at : had > end ? had : end;
        least = to[i] < least ? to[i] : least;
    }
    for (unsigned i = 0; i < TAIL_STREAMS; i++) {
        c->f->e.ahead[i] = to[i] > least ? c->f->e.offset + to[i] : 0;
        if (!c->f->e.offset && !least && c->f->e.ahead[i])
            tail_file_mark(c->f, c->f->e.ahead[i]);
    }
    return least;
}

/* Nothing more comes behind the end of the file. */
static bool is_over(const struct cutting *c)
{
    const struct tail_file *f = c->f;
    bool open = c->a->side[CONTAINER_STDOUT].in_line || c->a->side[CONTAINER_STDERR].in_line;
    if (f->is_packed)
        return true;
    return clock_mono_ns() - f->grown_ns >= OVER_NS &&
           (f->gone || (open && was_restarted(c->t, f)));
}

enum err tail_container_take(struct tail *t, struct tail_file *f, size_t n, bool all, bool full,
                             size_t *ret)
{
    struct cutting c = {.t = t, .f = f, .a = assembly_of(t), .newest_ns = NO_TIME};
    size_t end;
    clear(c.a);
    take_carry(&c);
    TRY(take_lines(&c, t->read.p, n, &end));
    bool over = all ? is_over(&c) : full;
    if (over && all && end < n) {
        TRY(take_line(&c, end, str_of(t->read.p + end, n - end)));
        end = n;
    }
    TRY(end_groups(&c, all && tail_is_quiet(f), over));
    if (all)
        keep_carry(&c, end);
    *ret = settle(&c, end);
    return OK;
}
