/* Standard input: lines as those of files, groups of them too. What is read of a line that is not
 * whole stays here; a full spool stops the reading, and so whoever writes to the pipe.
 *
 * Of its records only their number is noted (as those of files that are forgotten): a pipe cannot
 * be read again. */
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "input/tail_impl.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10, READS_MAX = 64, FLOW_MS = 3 };
#define QUIET_NS NS_PER_S

struct tail_stdin {
    struct tail_file file; /* for its service and the records' counts; in no list */
    struct buf held;       /* what is not handed on; JSON_PADDING behind it */
    bool over;
    uint64_t noted;  /* of file.e.records, those in the spool */
    size_t end;      /* of the whole lines of the group at hand, which begins at 0 */
    int64_t read_ns; /* monotonic: when something came last */
};

struct tail_stdin *tail_stdin_new(struct tail *t)
{
    struct tail_stdin *s = NEW(struct tail_stdin);
    s->file.e.path = mem_strdup(STR(""));
    s->file.service = mem_strdup(t->service[0] ? str_c(t->service) : STR("stdin"));
    s->file.fd = STDIN_FILENO;
    buf_init(&s->held, SIZE_MAX);
    return s;
}

void tail_stdin_free(struct tail_stdin *s)
{
    if (!s)
        return;
    mem_free(s->file.e.path);
    mem_free(s->file.service);
    buf_release(&s->held);
    mem_free(s);
}

int tail_stdin_fd(const struct tail_stdin *s)
{
    return s && !s->over ? s->file.fd : -1;
}

bool tail_stdin_over(const struct tail_stdin *s)
{
    return s->over && !s->held.n && s->noted == s->file.e.records;
}

int64_t tail_stdin_due(const struct tail_stdin *s)
{
    return s && s->end ? s->read_ns + QUIET_NS : INT64_MAX;
}

/* ---- lines ---- */

static enum err emit(struct tail *t, struct tail_stdin *s, size_t from, size_t to)
{
    struct tail_line line = {.text = str_of(s->held.p + from, to - from)};
    line.text.n -= line.text.n && s->held.p[to - 1] == '\n';
    line.text.n -= line.text.n && line.text.p[line.text.n - 1] == '\r';
    return line.text.n ? tail_body_add(t, &s->file, &line) : OK;
}

static void drop(struct tail_stdin *s, size_t n)
{
    memmove(s->held.p, s->held.p + n, s->held.n - n);
    s->held.n -= n;
}

/* Groups of whole lines from byte `from` on, where a group of `end` bytes before it may go on. */
static enum err cut_lines(struct tail *t, struct tail_stdin *s)
{
    const struct multiline *m = t->o.multiline;
    size_t begin = 0, at = s->end;
    for (const char *lf; (lf = memchr(s->held.p + at, '\n', s->held.n - at));) {
        size_t end = (size_t)(lf - s->held.p) + 1;
        struct str line = str_of(s->held.p + at, end - at - 1);
        line.n -= line.n && line.p[line.n - 1] == '\r';
        bool goes_on = m && multiline_continues(m, &s->file.group, line) && at > begin;
        if (at > begin && (!goes_on || end - begin > t->o.line_max)) {
            TRY(emit(t, s, begin, at));
            begin = at;
        }
        at = end;
        if (!m) {
            TRY(emit(t, s, begin, at));
            begin = at;
        }
    }
    s->end = at - begin;
    drop(s, begin);
    return OK;
}

/* What cannot wait any more: too long, too old, or the last. */
static enum err cut_rest(struct tail *t, struct tail_stdin *s)
{
    bool quiet = clock_mono_ns() - s->read_ns >= QUIET_NS;
    if (s->end && (quiet || s->over)) {
        TRY(emit(t, s, 0, s->end));
        drop(s, s->end);
        s->end = 0;
        s->file.group = (struct multiline_state){0};
    }
    size_t rest = s->held.n;
    if (rest && (s->over || rest > 2 * t->o.line_max)) {
        size_t n = s->over ? rest : t->o.line_max;
        TRY(emit(t, s, 0, n));
        drop(s, n);
        s->end = s->end > n ? s->end - n : 0;
    }
    return OK;
}

/* ---- reading ---- */

/* False when nothing comes within wait_ms. */
static bool read_some(struct tail_stdin *s, int wait_ms)
{
    struct pollfd p = {.fd = s->file.fd, .events = POLLIN};
    if (poll(&p, 1, wait_ms) <= 0)
        return false;
    char *to = buf_reserve(&s->held, READ_BYTES + JSON_PADDING);
    CHECK(to);
    ssize_t got = read(s->file.fd, to, READ_BYTES);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return false;
    if (got < 0)
        log_error("standard input cannot be read", "error=\"%s\"", strerror(errno));
    s->over = got <= 0;
    if (got > 0)
        s->held.n += (size_t)got;
    s->read_ns = clock_mono_ns();
    return !s->over;
}

/* A pipe holds little: while it flows, its writer is waited for a moment. */
enum err tail_stdin_read(struct tail *t, struct tail_stdin *s, bool *ret_more)
{
    bool some = true;
    *ret_more = false;
    for (unsigned i = 0; i < READS_MAX && some && !s->over; i++) {
        some = read_some(s, i ? FLOW_MS : 0);
        TRY(cut_lines(t, s));
        TRY(cut_rest(t, s));
        if (t->body.bytes >= TAIL_BODY_BYTES)
            TRY(tail_body_commit(t));
    }
    *ret_more = some && !s->over;
    return s->over ? cut_rest(t, s) : OK;
}

/* ---- books ---- */

void tail_stdin_note(struct tail *t, struct tail_stdin *s, struct buf *note)
{
    uint64_t more = s->file.e.records - s->noted;
    if (more)
        buf_printf(note, "retired %llu\n", (unsigned long long)t->positions.retired + more);
}

uint64_t tail_stdin_committed(struct tail *t, struct tail_stdin *s)
{
    uint64_t more = s->file.e.records - s->noted;
    t->positions.retired += more;
    s->noted = s->file.e.records;
    return more;
}
