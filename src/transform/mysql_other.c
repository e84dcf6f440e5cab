/* General and audit logs.
 *
 * General: a time (or, with servers before 5.7 and MariaDB, none where the second is the same), a
 * tab, the thread, the command, a tab, its text, which may have lines:
 *
 *   2025-08-03T15:30:45.123456Z\t   12 Query\tselect 1
 *   250803 15:30:45\t     8 Query\tselect 1
 *   \t\t     8 Query\tselect 2
 *
 * Audit: MariaDB's server_audit, as Aurora writes it too; times in microseconds there:
 *
 *   20250803 15:30:45,server,user,host,connection,query,OPERATION,database,'object',retcode
 *   1754235045123456,server,...
 *
 * Aurora writes one trail to four files at once: records of all are put in order by `_time` and
 * query_id. Within the object, quotes and line ends are escaped; what is not, goes on until the
 * next line that begins as a record does. */
#include "transform/mysql_log_impl.h"

#include "core/clock.h"
#include "record/timestamp_civil.h"

/* ---- general ---- */

struct command {
    struct str time, name, argument;
    int64_t time_ns, thread;
};

static struct str skip(struct str s, char c)
{
    size_t at = 0;
    while (at < s.n && s.p[at] == c)
        at++;
    return str_from(s, at);
}

/* "   12 Query\t": a thread, a space, a word or two (Init DB) that begin with a capital. */
static bool read_command(const struct mysql_log *m, struct str s, struct command *c)
{
    bool own;
    *c = (struct command){.time_ns = INT64_MIN};
    size_t n = mysql_time_read(m, s, &c->time_ns, &own);
    if (n ? n >= s.n || s.p[n] != '\t' : !str_starts(s, STR("\t\t")))
        return false;
    c->time = str_of(s.p, n);
    s = skip(skip(str_from(s, n), '\t'), ' ');
    n = mysql_digits(s, &c->thread);
    if (!n || n >= s.n || s.p[n] != ' ')
        return false;
    s = str_from(s, n + 1);
    size_t end = 0;
    while (end < s.n && end < 24 && s.p[end] != '\t' && s.p[end] != '\n')
        end++;
    c->name = str_trim(str_of(s.p, end));
    c->argument = str_from(s, end + (end < s.n && s.p[end] == '\t'));
    return c->name.n && c->name.p[0] >= 'A' && c->name.p[0] <= 'Z' && end < 24;
}

static bool banner(const struct ahead *a)
{
    return a->whole && str_ends(str_trim(a->line), STR("started with:")) &&
           str_find(a->line, STR(", Version: ")) != SIZE_MAX;
}

static enum look look_general(struct mysql_log *m, const struct ahead *a)
{
    struct command c;
    if (read_command(m, a->line, &c))
        return LOOK_BEGIN;
    return banner(a) ? LOOK_BANNER : LOOK_PART;
}

static bool put_general(struct mysql_log *m, const struct piece *p, struct batch *b)
{
    struct command c;
    if (!read_command(m, p->text, &c))
        return false;
    struct str text = c.argument;
    if (!p->missing && text.n && text.p[text.n - 1] == '\n')
        text.n--;
    if (c.time.n)
        batch_text(b, STR("timestamp"), LANE_STR, c.time);
    batch_int(b, STR("thread_id"), c.thread);
    batch_text(b, STR("command"), LANE_STR, c.name);
    bool sql = str_eq(c.name, STR("Query")) || str_eq(c.name, STR("Prepare")) ||
               str_eq(c.name, STR("Execute"));
    if (sql && (text.n || p->missing))
        mysql_put_statement(m, text, p->missing, b);
    else if (text.n)
        batch_text(b, STR("argument"), LANE_STR,
                   str_of(text.p, text.n < m->text_max ? text.n : m->text_max));
    m->has_time |= c.time.n > 0;
    if (c.time.n)
        m->time_ns = c.time_ns;
    if (m->has_time)
        batch_time(b, m->time_ns);
    return true;
}

static bool whole(const struct mysql_log *m, struct str text)
{
    return m->dropped || str_ends(text, STR("\n"));
}

const struct mysql_log_format mysql_general_format = {look_general, put_general, whole};

/* ---- audit ---- */

/* "20250803 15:30:45" or microseconds, with the comma; the bytes, 0: none. */
static size_t audit_time(const struct mysql_log *m, struct str s, int64_t *ret_ns)
{
    int64_t v, hour, minute, second;
    size_t n = mysql_digits(s, &v);
    if (n == 16 && n < s.n && s.p[n] == ',') {
        *ret_ns = v * 1000; /* 16 digits: 2286 at most, within int64 */
        return v < INT64_MAX / 1000 ? n + 1 : 0;
    }
    if (n != 8 || s.n < 18 || s.p[8] != ' ' || s.p[11] != ':' || s.p[14] != ':' || s.p[17] != ',' ||
        mysql_digits(str_of(s.p + 9, 2), &hour) != 2 ||
        mysql_digits(str_of(s.p + 12, 2), &minute) != 2 ||
        mysql_digits(str_of(s.p + 15, 2), &second) != 2)
        return 0;
    struct civil c = {.year = v / 10000,
                      .month = (int)(v / 100 % 100),
                      .day = (int)(v % 100),
                      .hour = (int)hour,
                      .minute = (int)minute,
                      .second = (int)second};
    return civil_valid(&c) && ns_of_seconds(zone_utc(m->zone, civil_seconds(&c)), 0, ret_ns) ? 18
                                                                                             : 0;
}

static enum look look_audit(struct mysql_log *m, const struct ahead *a)
{
    int64_t ns;
    return audit_time(m, a->line, &ns) ? LOOK_BEGIN : LOOK_PART;
}

/* Up to the next comma. */
static bool take_cell(struct str *rest, struct str *ret)
{
    size_t end = str_find_byte(*rest, ',', 0);
    *ret = str_of(rest->p, end);
    bool more = end < rest->n;
    *rest = str_from(*rest, end + 1);
    return more;
}

/* 'text' with its escapes undone to m->text; else a bare cell. */
static struct str take_object(struct mysql_log *m, struct str *rest)
{
    struct str s = *rest, cell;
    if (!s.n || s.p[0] != '\'') {
        (void)take_cell(rest, &cell);
        return cell;
    }
    size_t at = 1;
    buf_clear(&m->text);
    for (; at < s.n && s.p[at] != '\''; at++) {
        char c = s.p[at];
        if (c == '\\' && at + 1 < s.n) {
            c = s.p[++at];
            c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
        }
        buf_put_byte(&m->text, c);
    }
    at += at < s.n;
    *rest = str_from(s, at + (at < s.n && s.p[at] == ','));
    return buf_str(&m->text);
}

static void put_cell(struct batch *b, const char *key, struct str v)
{
    int64_t number;
    bool is_number = !strcmp(key, "thread_id") || !strcmp(key, "query_id");
    if (is_number && str_to_i64(v, &number))
        batch_int(b, str_c(key), number);
    else if (v.n)
        batch_text(b, str_c(key), LANE_STR, v);
}

static bool put_audit(struct mysql_log *m, const struct piece *p, struct batch *b)
{
    static const char *const keys[] = {"server_host", "user",      "host",  "thread_id",
                                       "query_id",    "operation", "schema"};
    enum { CELLS = sizeof(keys) / sizeof(*keys) };
    struct str cell[CELLS], rest = p->text, object;
    struct buf sql;
    int64_t ns, code;
    size_t n = audit_time(m, rest, &ns);
    struct str time = str_of(rest.p, n ? n - 1 : 0);
    rest = str_from(rest, n);
    for (int i = 0; i < CELLS; i++)
        if (!n || !take_cell(&rest, &cell[i]))
            return false;
    while (rest.n && (rest.p[rest.n - 1] == '\n' || rest.p[rest.n - 1] == '\r'))
        rest.n--;
    batch_text(b, STR("timestamp"), LANE_STR, time);
    for (int i = 0; i < CELLS; i++)
        put_cell(b, keys[i], cell[i]);
    object = take_object(m, &rest);
    buf_init(&sql, SIZE_MAX);
    buf_put_str(&sql, object);
    if (str_starts(cell[5], STR("QUERY")) && object.n)
        mysql_put_statement(m, buf_str(&sql), p->missing, b);
    else
        put_cell(b, "object", buf_str(&sql));
    buf_release(&sql);
    size_t digits = mysql_digits(rest, &code);
    if (digits)
        batch_int(b, STR("error_code"), code);
    m->has_time = true;
    m->time_ns = ns;
    batch_time(b, ns);
    return true;
}

const struct mysql_log_format mysql_audit_format = {look_audit, put_audit, whole};
