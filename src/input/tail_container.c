/* Lines of a container's log file: pieces of long lines are put together again, of each stream by
 * itself, and groups of lines (multiline) then, likewise.
 *
 * A piece waits for the rest of its line without any clock: it goes out as it is only when the file
 * is over, or when it has grown past line_max. A group waits for the next line of its stream, or
 * until QUIET_NS have passed without one, by the clock of the lines themselves or, at the end of
 * the file, by ours.
 *
 * Nothing of this is kept between two reads: the offset stays where the first line begins that is
 * not whole, `ahead` says how far the other stream has been handed on beyond that, and the bytes
 * are read again. So a crash at any moment leaves nothing out and doubles nothing. */
#include "core/clock.h"
#include "core/mem.h"
#include "input/tail_impl.h"
#include "wire/container.h"

#define NO_TIME INT64_MIN
#define QUIET_NS NS_PER_S
#define OVER_NS (3 * NS_PER_S) /* so long a gone file may get the rest of a line */

/* Of one stream. Places are those of the buffer. */
struct side {
    struct buf line, group;
    bool in_line, in_group;
    size_t line_at, group_at;           /* where they begin */
    int64_t line_ns, group_ns, last_ns; /* times of the first line, and of the group's last */
    struct multiline_state state;
};

struct tail_assembly {
    struct side side[TAIL_STREAMS];
    struct buf scratch;
};

struct cutting {
    struct tail *t;
    struct tail_file *f;
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
        s->in_line = s->in_group = false;
        s->state = (struct multiline_state){0};
    }
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
    return emit(c, stream, &s->group, s->group_ns);
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
        s->in_group = true;
    } else {
        buf_put_byte(&s->group, '\n');
    }
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
    for (unsigned i = 0; i < TAIL_STREAMS; i++)
        c->f->e.ahead[i] = to[i] > least ? c->f->e.offset + to[i] : 0;
    return least;
}

enum err tail_container_take(struct tail *t, struct tail_file *f, size_t n, bool all, bool full,
                             size_t *ret)
{
    struct cutting c = {.t = t, .f = f, .a = assembly_of(t), .newest_ns = NO_TIME};
    bool gone = f->gone || f->is_packed;
    bool over = (full && !all) ||
                (all && gone && (f->is_packed || clock_mono_ns() - f->grown_ns >= OVER_NS));
    size_t end;
    clear(c.a);
    TRY(take_lines(&c, t->read.p, n, &end));
    if (over && all && end < n) {
        TRY(take_line(&c, end, str_of(t->read.p + end, n - end)));
        end = n;
    }
    TRY(end_groups(&c, all && tail_is_quiet(f), over));
    *ret = settle(&c, end);
    return OK;
}
