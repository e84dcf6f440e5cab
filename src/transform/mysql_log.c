/* The way of bytes through a parser of MySQL's logs: a window in which records are found by the
 * lines that begin them; what the lines mean is the formats' business (mysql_slow.c, mysql_error.c,
 * mysql_other.c).
 *
 * Pieces are copied to the window, a step at a time. Each line is looked at once, with the one
 * behind it: it begins a record, or goes on with the one under way, which ends there. So a record
 * lies in one piece of memory when it is read. What a record has behind its first text_max +
 * HEADER_MAX bytes is taken out of the window as soon as its lines have been looked at: memory is
 * bounded, and what is kept does not depend on how the bytes came.
 *
 * A saved state is "1 KIND OFFSET TIME DB": TIME in nanoseconds or "-", DB in hexadecimal. */
#include "transform/mysql_log_impl.h"

#include "core/mem.h"

enum {
    STEP_BYTES = 64 << 10, /* copied and looked at before the next */
    TELL_BYTES = 64 << 10, /* in which a file must show what it is */
    FIELDS_BYTES = 1024,   /* of a record in a batch, beside its text: about */
    BANNER_LINES = 3,
};

static const struct {
    const char *name, *type;
    const struct mysql_log_format *format;
} kinds[MYSQL_LOG_KIND_COUNT] = {
    [MYSQL_LOG_AUTO] = {"auto", "", &mysql_error_format},
    [MYSQL_LOG_SLOW] = {"slow", "slowquery", &mysql_slow_format},
    [MYSQL_LOG_ERROR] = {"error", "error", &mysql_error_format},
    [MYSQL_LOG_GENERAL] = {"general", "general", &mysql_general_format},
    [MYSQL_LOG_AUDIT] = {"audit", "audit", &mysql_audit_format},
};

bool mysql_log_kind_of(struct str name, enum mysql_log_kind *ret)
{
    for (int i = 0; i < MYSQL_LOG_KIND_COUNT; i++) {
        if (str_eq_c(name, kinds[i].name) || (i && str_eq_c(name, kinds[i].type))) {
            *ret = (enum mysql_log_kind)i;
            return true;
        }
    }
    return false;
}

struct str mysql_log_type(enum mysql_log_kind kind)
{
    return str_c(kinds[kind].type);
}

enum err mysql_log_new(const struct mysql_log_options *o, struct mysql_log **ret)
{
    struct mysql_log *m = NEW(struct mysql_log);
    struct str zone = str_ieq(o->time_zone, STR("SYSTEM")) ? STR("") : o->time_zone;
    enum err err = zone_new(zone, &m->zone);
    if (err != OK) {
        mem_free(m);
        return err;
    }
    m->kind = o->kind;
    m->told = o->kind != MYSQL_LOG_AUTO;
    m->keep = o->keep ? o->keep : MYSQL_LOG_KEEP(MYSQL_LOG_SLOW) | MYSQL_LOG_KEEP(MYSQL_LOG_ERROR);
    m->instance = mem_strdup(o->instance);
    m->file = mem_strdup(o->file);
    m->text_max = o->text_max ? o->text_max : MYSQL_LOG_TEXT_MAX;
    m->ended = true;
    buf_init(&m->window, m->text_max + HEADER_MAX + 4 * STEP_BYTES);
    buf_init(&m->text, SIZE_MAX);
    *ret = m;
    return OK;
}

void mysql_log_free(struct mysql_log *m)
{
    if (!m)
        return;
    zone_free(m->zone);
    mem_free(m->instance);
    mem_free(m->file);
    buf_release(&m->window);
    buf_release(&m->text);
    mem_free(m);
}

uint64_t mysql_log_consumed(const struct mysql_log *m)
{
    return m->base;
}

const struct mysql_log_counts *mysql_log_counts(const struct mysql_log *m)
{
    return &m->counts;
}

enum mysql_log_kind mysql_log_kind(const struct mysql_log *m)
{
    return m->kind;
}

/* ---- what a file is ---- */

/* By its first line that begins a record of one kind. General logs before error logs: their times
 * are the same, and a tab follows. */
static enum look tell(struct mysql_log *m, const struct ahead *a)
{
    static const enum mysql_log_kind order[] = {MYSQL_LOG_SLOW, MYSQL_LOG_AUDIT, MYSQL_LOG_GENERAL,
                                                MYSQL_LOG_ERROR};
    for (unsigned i = 0; i < sizeof(order) / sizeof(*order); i++) {
        enum look look = kinds[order[i]].format->look(m, a);
        if (look == LOOK_BEGIN)
            m->kind = order[i];
        if (look != LOOK_PART)
            return look;
    }
    if (m->scan - m->head + m->dropped > TELL_BYTES)
        m->kind = MYSQL_LOG_ERROR;
    return LOOK_PART;
}

static enum look look_at(struct mysql_log *m, const struct ahead *a)
{
    if (m->banner)
        return LOOK_PART;
    return m->kind == MYSQL_LOG_AUTO ? tell(m, a) : kinds[m->kind].format->look(m, a);
}

/* ---- a record ---- */

static void consume(struct mysql_log *m)
{
    uint64_t n = m->scan - m->head + m->dropped;
    m->base += n;
    m->ended = true;
    m->counts.bytes += n;
    m->counts.lines += m->lines;
    m->head = m->scan;
    m->dropped = m->lines = 0;
    m->begun = m->headed = m->forged = false;
    m->headers_n = 0;
    m->quotes = (struct sql_quotes){0};
}

static bool is_blank(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!s.p[i] || !strchr(" \t\r\n", s.p[i]))
            return false;
    return true;
}

/* What is in no record of its kind. */
static void put_unparsed(struct mysql_log *m, const struct piece *p, struct batch *b)
{
    struct str text = p->text;
    while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
        text.n--;
    uint64_t missing = p->missing;
    if (text.n > m->text_max) {
        missing += text.n - m->text_max;
        text.n = m->text_max;
    }
    batch_text(b, STR("message"), LANE_STR, text);
    batch_bool(b, STR("unparsed"), true);
    if (missing)
        batch_int(b, STR("truncated_bytes"), (int64_t)missing);
    m->counts.truncated_bytes += missing;
    m->counts.unparsed++;
    if (m->has_time)
        batch_time(b, m->time_ns);
}

static void put_source(struct mysql_log *m, enum mysql_log_kind kind, struct batch *b)
{
    batch_text(b, STR("log_type"), LANE_STR, mysql_log_type(kind));
    if (*m->instance)
        batch_text(b, STR("instance"), LANE_STR, str_c(m->instance));
    if (*m->file)
        batch_text(b, STR("log_file"), LANE_STR, str_c(m->file));
}

/* The record [head, scan) to the batch. False: it is full. */
static bool append(struct mysql_log *m, int64_t arrival_ns, struct batch *b)
{
    enum mysql_log_kind kind = m->kind ? m->kind : MYSQL_LOG_ERROR;
    size_t kept = m->text_max + HEADER_MAX, n = m->scan - m->head;
    struct piece p = {.text = str_of(str_from(buf_str(&m->window), m->head).p, n < kept ? n : kept),
                      .missing = m->dropped + (n < kept ? 0 : n - kept),
                      .headed = m->headed};
    if (!m->headed && !p.missing && is_blank(p.text)) {
        consume(m);
        return true;
    }
    if (!(m->keep & MYSQL_LOG_KEEP(kind))) {
        m->counts.filtered++;
        consume(m);
        return true;
    }
    if (batch_full(b, 2 * p.text.n + FIELDS_BYTES))
        return false;
    struct mysql_log_counts before = m->counts;
    batch_begin(b);
    put_source(m, kind, b);
    if (!p.headed || !kinds[kind].format->put(m, &p, b))
        put_unparsed(m, &p, b);
    if (!batch_try_end(b, arrival_ns, p.text.n)) {
        CHECK(batch_rows(b) > 0); /* a record has few fields: alone it fits */
        batch_cancel(b);
        m->counts = before;
        return false;
    }
    m->counts.records++;
    consume(m);
    return true;
}

bool mysql_log_is_entry(struct mysql_log *m, struct str text)
{
    size_t end = str_find_byte(text, '\n', 0);
    struct ahead a = {.line = str_of(text.p, end < HEAD_MAX ? end : HEAD_MAX),
                      .whole = end <= HEAD_MAX,
                      .next = str_from(text, end + 1),
                      .last = true};
    return text.p && kinds[m->kind].format->look(m, &a) == LOOK_BEGIN;
}

void mysql_log_put_entry(struct mysql_log *m, struct str text, struct batch *b)
{
    size_t kept = m->text_max + HEADER_MAX;
    struct piece p = {.text = text, .headed = true};
    if (text.n > kept) {
        p.text.n = kept;
        p.missing = text.n - kept;
    }
    m->db_n = 0;
    m->has_time = false;
    put_source(m, m->kind, b);
    if (!kinds[m->kind].format->put(m, &p, b))
        put_unparsed(m, &p, b);
}

/* ---- lines ---- */

/* A server has begun to write: what was carried from entry to entry is no longer so. */
static void end_banner(struct mysql_log *m)
{
    m->counts.banner_lines += m->lines;
    m->banner = 0;
    m->db_n = 0;
    consume(m);
}

/* Bytes behind what is kept of the record, and looked at, go. */
static void drop(struct mysql_log *m)
{
    size_t kept = m->head + m->text_max + HEADER_MAX;
    if (m->scan <= kept)
        return;
    m->dropped += m->scan - kept;
    memmove(m->window.p + kept, m->window.p + m->scan, m->window.n - m->scan);
    m->window.n -= m->scan - kept;
    m->scan = kept;
}

/* The line at `scan`; false: more bytes are needed to look at it. *ret_n: its bytes with its end;
 * 0: it is too long for what is there, and only its beginning can be looked at. */
static bool line_ahead(const struct mysql_log *m, bool last, struct ahead *ret, size_t *ret_n)
{
    struct str rest = str_from(buf_str(&m->window), m->scan);
    if (!rest.n)
        return false;
    const char *end = memchr(rest.p, '\n', rest.n);
    size_t n = end ? (size_t)(end - rest.p) : rest.n;
    if (!end && !last && n <= HEAD_MAX)
        return false;
    *ret = (struct ahead){.line = str_of(rest.p, n < HEAD_MAX ? n : HEAD_MAX),
                          .whole = n <= HEAD_MAX,
                          .next = end ? str_from(rest, n + 1) : (struct str){0},
                          .last = last};
    *ret_n = end ? n + 1 : last ? n : 0;
    return true;
}

/* Over a line of n bytes, or (0) over what there is of it. */
static void pass(struct mysql_log *m, size_t n)
{
    size_t end = n ? m->scan + n : m->window.n;
    bool whole = n && m->window.p[end - 1] == '\n';
    size_t text = whole ? end - 1 : end;
    if (text > m->scan)
        m->ended = m->window.p[text - 1] == ';';
    else if (!m->in_line)
        m->ended = m->ended && !m->headed; /* an empty line */
    m->in_line = !whole;
    m->lines += whole;
    m->scan = end;
    if (whole && m->banner && --m->banner == 0)
        end_banner(m);
    drop(m);
}

/* The rest of a line whose beginning has been looked at. False: it goes on. */
static bool pass_rest(struct mysql_log *m)
{
    size_t left = m->window.n - m->scan;
    const char *end = left ? memchr(m->window.p + m->scan, '\n', left) : NULL;
    if (left)
        pass(m, end ? (size_t)(end - m->window.p) - m->scan + 1 : 0);
    return !m->in_line;
}

/* Looks at lines until a record has been appended, or *ret_more bytes are needed. False: the batch
 * is full. */
static bool step(struct mysql_log *m, bool last, int64_t arrival_ns, struct batch *b,
                 bool *ret_more)
{
    struct ahead a;
    size_t n;
    *ret_more = true;
    while ((!m->in_line || pass_rest(m)) && line_ahead(m, last, &a, &n)) {
        enum look look = look_at(m, &a);
        if (look == LOOK_MORE)
            return true;
        if ((look == LOOK_BEGIN || look == LOOK_BANNER) && m->begun) {
            *ret_more = false;
            return append(m, arrival_ns, b);
        }
        m->begun = true;
        m->headed |= look == LOOK_BEGIN;
        if (look == LOOK_BANNER)
            m->banner = BANNER_LINES;
        pass(m, n);
    }
    return true;
}

/* ---- pieces ---- */

/* Room for a step: what is consumed goes. */
static size_t make_room(struct mysql_log *m)
{
    if (m->head && (m->head == m->window.n || m->head >= STEP_BYTES)) {
        memmove(m->window.p, m->window.p + m->head, m->window.n - m->head);
        m->window.n -= m->head;
        m->scan -= m->head;
        m->head = 0;
    }
    return STEP_BYTES;
}

enum err mysql_log_feed(struct mysql_log *m, struct str piece, int64_t arrival_ns, struct batch *b,
                        size_t *ret_used)
{
    size_t used = 0;
    for (;;) {
        bool more = false;
        while (!more) {
            if (!step(m, false, arrival_ns, b, &more)) {
                *ret_used = used;
                return OK;
            }
        }
        if (used == piece.n)
            break;
        size_t n = make_room(m);
        n = n < piece.n - used ? n : piece.n - used;
        TRY(buf_add(&m->window, piece.p + used, n));
        used += n;
    }
    *ret_used = used;
    return OK;
}

enum err mysql_log_end(struct mysql_log *m, bool last, int64_t arrival_ns, struct batch *b,
                       bool *ret_more)
{
    bool more = false;
    *ret_more = true;
    while (!more)
        if (!step(m, last, arrival_ns, b, &more))
            return OK;
    struct str text = str_from(str_of(m->window.p, m->scan), m->head);
    bool whole = last || (m->headed && m->scan == m->window.n && !m->in_line &&
                          kinds[m->kind].format->whole(m, text));
    if (m->begun && whole && m->banner)
        end_banner(m);
    else if (m->begun && whole && !append(m, arrival_ns, b))
        return OK;
    *ret_more = false;
    return OK;
}

/* ---- states ---- */

void mysql_log_save(const struct mysql_log *m, struct buf *out)
{
    buf_printf(out, "1 %s %llu ", kinds[m->kind].name, (unsigned long long)m->base);
    if (m->has_time)
        buf_put_i64(out, m->time_ns);
    else
        buf_put_byte(out, '-');
    buf_put_byte(out, ' ');
    for (size_t i = 0; i < m->db_n; i++)
        buf_printf(out, "%02x", (unsigned char)m->db[i]);
    if (!m->db_n)
        buf_put_byte(out, '-');
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool restore_db(struct mysql_log *m, struct str hex)
{
    if (str_eq_c(hex, "-"))
        return true;
    if (!hex.n || hex.n % 2 || hex.n / 2 > DB_BYTES_MAX)
        return false;
    for (size_t i = 0; i < hex.n; i += 2) {
        int high = hex_digit(hex.p[i]), low = hex_digit(hex.p[i + 1]);
        if (high < 0 || low < 0)
            return false;
        m->db[m->db_n++] = (char)(high * 16 + low);
    }
    return true;
}

enum err mysql_log_restore(struct mysql_log *m, struct str state)
{
    struct str part[5], rest = state;
    enum mysql_log_kind kind;
    unsigned n = 0;
    CHECK(m->base == 0 && m->window.n == 0);
    while (n < 5 && str_split(&rest, ' ', &part[n]))
        n++;
    m->has_time = n == 5 && !str_eq_c(part[3], "-");
    if (n != 5 || rest.p || !str_eq_c(part[0], "1") || !mysql_log_kind_of(part[1], &kind) ||
        !str_to_u64(part[2], &m->base) || (m->has_time && !str_to_i64(part[3], &m->time_ns)) ||
        !restore_db(m, part[4]))
        return err_set(ERR_INVALID, "\"%.*s\" is no state of a parser of MySQL's logs",
                       state.n > 100 ? 100 : (int)state.n, state.p);
    if (!m->told)
        m->kind = kind;
    return OK;
}
