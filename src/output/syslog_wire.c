#include "output/syslog_wire.h"

#include "core/clock.h"
#include "core/mem.h"
#include "output/pick.h"
#include "output/text.h"
#include "record/timestamp.h"

/* RFC 5424, section 6: the longest of each part. */
enum { HOST_MAX = 255, APP_MAX = 48, PROCID_MAX = 128, MSGID_MAX = 32, SD_NAME_MAX = 32 };
enum { SEVERITY_DEFAULT = 6 };

enum field { HOST, SERVICE, LEVEL, MESSAGE, FACILITY, SEVERITY, PROCID, PID, MSGID, FIELDS };
static const char *const field_names[FIELDS] = {
    "host", "service", "level", "message", "facility", "severity", "procid", "pid", "msgid"};

struct syslog_writer {
    struct syslog_format f;
    char *sd_id;
    struct pick *pick;
    struct buf scratch, message;
    struct str used[FIELDS]; /* names of the row's fields that have a place of their own */
    unsigned n_used;
};

static bool is_sd_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || strchr("=]\"", s.p[i]))
            return false;
    return s.n && s.n <= SD_NAME_MAX;
}

enum err syslog_writer_new(const struct syslog_format *f, struct syslog_writer **ret)
{
    if (f->sd_id.n && !is_sd_name(f->sd_id))
        return err_set(ERR_INVALID, "sd_id=%.*s: a name as weir@32473 is wanted, at most %d bytes",
                       STR_ARG(f->sd_id), SD_NAME_MAX);
    struct syslog_writer *w = NEW(struct syslog_writer);
    w->f = *f;
    w->sd_id = mem_strdup(f->sd_id);
    w->f.sd_id = str_c(w->sd_id);
    w->pick = pick_new();
    for (unsigned i = 0; i < FIELDS; i++)
        (void)pick_add(w->pick, str_c(field_names[i]));
    buf_init(&w->scratch, SIZE_MAX);
    buf_init(&w->message, SIZE_MAX);
    *ret = w;
    return OK;
}

void syslog_writer_free(struct syslog_writer *w)
{
    if (!w)
        return;
    pick_free(w->pick);
    buf_release(&w->scratch);
    buf_release(&w->message);
    mem_free(w->sd_id);
    mem_free(w);
}

void syslog_writer_begin(struct syslog_writer *w)
{
    pick_begin(w->pick);
}

/* The field's text in `scratch`, and the field is used. */
static bool take(struct syslog_writer *w, enum field field)
{
    struct str name;
    buf_clear(&w->scratch);
    if (!pick_get(w->pick, field, &w->scratch, &name))
        return false;
    w->used[w->n_used++] = name;
    return true;
}

static int take_number(struct syslog_writer *w, enum field field, int (*number)(struct str))
{
    if (!take(w, field))
        return -1;
    int n = number(buf_str(&w->scratch));
    w->n_used -= n < 0; /* no such name: it is kept as a field */
    return n;
}

/* One of the header's words: printable ASCII, or "-". */
static void put_word(struct syslog_writer *w, bool there, size_t max, struct buf *out)
{
    size_t n = there ? w->scratch.n : 0;
    buf_put_byte(out, ' ');
    for (size_t i = 0; i < n && i < max; i++) {
        char c = w->scratch.p[i];
        buf_put_byte(out, c > ' ' && c <= '~' ? c : '_');
    }
    if (!n)
        buf_put_byte(out, '-');
}

static void put_time(int64_t ns, struct buf *out)
{
    char text[TIME_TEXT_MAX];
    int64_t us = ns - (ns % 1000 + 1000) % 1000; /* six digits are the most */
    buf_put_byte(out, ' ');
    buf_put(out, text, time_rfc3339(us, text));
}

static void put_header(struct syslog_writer *w, int64_t time_ns, struct buf *out)
{
    int facility = take_number(w, FACILITY, syslog_facility);
    int severity = take_number(w, SEVERITY, syslog_severity);
    if (severity < 0)
        severity = take_number(w, LEVEL, syslog_severity);
    buf_printf(out, "<%d>1",
               (facility < 0 ? w->f.facility : facility) * 8 +
                   (severity < 0 ? SEVERITY_DEFAULT : severity));
    put_time(time_ns, out);
    put_word(w, take(w, HOST), HOST_MAX, out);
    put_word(w, take(w, SERVICE), APP_MAX, out);
    put_word(w, take(w, PROCID) || take(w, PID), PROCID_MAX, out);
    put_word(w, take(w, MSGID), MSGID_MAX, out);
    buf_put_byte(out, ' ');
}

/* ---- structured data ---- */

struct sd {
    struct syslog_writer *w;
    struct buf *out;
    bool any;
};

static void put_sd_name(struct str name, struct buf *out)
{
    for (size_t i = 0; i < name.n && i < SD_NAME_MAX; i++) {
        char c = name.p[i];
        buf_put_byte(out, c > ' ' && c <= '~' && !strchr("=]\"", c) ? c : '_');
    }
    if (!name.n)
        buf_put_byte(out, '_');
}

static void put_param(void *ctx, const struct text_leaf *leaf)
{
    struct sd *sd = ctx;
    struct syslog_writer *w = sd->w;
    for (unsigned i = 0; i < w->n_used; i++)
        if (str_eq(w->used[i], leaf->name))
            return;
    if (!sd->any) {
        buf_put_byte(sd->out, '[');
        buf_put_str(sd->out, w->f.sd_id);
    }
    sd->any = true;
    buf_put_byte(sd->out, ' ');
    put_sd_name(leaf->name, sd->out);
    buf_put_c(sd->out, "=\"");
    buf_clear(&w->scratch);
    text_put_item(&leaf->item, &w->scratch);
    for (size_t i = 0; i < w->scratch.n; i++) {
        if (strchr("\"\\]", w->scratch.p[i]) && w->scratch.p[i])
            buf_put_byte(sd->out, '\\');
        buf_put_byte(sd->out, w->scratch.p[i]);
    }
    buf_put_byte(sd->out, '"');
}

static void put_data(struct syslog_writer *w, struct str json, struct buf *out)
{
    struct sd sd = {w, out, false};
    if (w->f.sd_id.n && !w->f.json)
        text_each_leaf(json, put_param, &sd);
    buf_put_byte(out, sd.any ? ']' : '-');
}

/* ---- messages ---- */

static void put_framed(struct syslog_writer *w, struct buf *out)
{
    struct buf *m = &w->message;
    if (w->f.max && m->n > w->f.max) {
        m->n = w->f.max;
        while (m->n && ((unsigned char)m->p[m->n] & 0xc0) == 0x80)
            m->n--; /* no part of a character */
    }
    if (w->f.framing == SYSLOG_COUNTED)
        buf_printf(out, "%zu ", m->n);
    for (size_t i = 0; w->f.framing == SYSLOG_LINES && i < m->n; i++)
        if (m->p[i] == '\n' || m->p[i] == '\r' || !m->p[i])
            m->p[i] = ' ';
    buf_put_str(out, buf_str(m));
    if (w->f.framing == SYSLOG_LINES)
        buf_put_byte(out, '\n');
}

enum err syslog_put_row(struct syslog_writer *w, const struct output_row *row, struct buf *out)
{
    struct buf *m = &w->message;
    TRY(pick_row(w->pick, row));
    buf_clear(m);
    w->n_used = 0;
    put_header(w, row->time_ns, m);
    size_t data = m->n;
    bool message = !w->f.json && take(w, MESSAGE);
    put_data(w, row->json, m);
    if (message) {
        buf_put_byte(m, ' ');
        (void)pick_get(w->pick, MESSAGE, m, NULL);
    } else if (w->f.json || m->n == data + 1) {
        buf_put_byte(m, ' ');
        buf_put_str(m, row->json);
    }
    put_framed(w, out);
    return OK;
}
