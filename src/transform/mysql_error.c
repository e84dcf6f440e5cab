/* Error logs. A record begins with a time and what stands behind it:
 *
 *   2025-08-03T15:30:45.123456Z 0 [Warning] [MY-010055] [Server] message     MySQL 8.0, Aurora 3
 *   2025-08-03T15:30:45.123456+02:00 0 [Note] message                        MySQL 5.7
 *   2025-08-03 15:30:45 12345 [Note] message                                 MySQL 5.6, Aurora 2
 *   2025-08-03 15:30:45 0 [Note] message                                     MariaDB
 *   2025-08-03 15:30:45 7f4a2b3c4700 InnoDB: message                         5.6 and 10.0
 *   250803 15:30:45 [Note] message          250803 15:30:45  InnoDB: message older ones
 *   250803 15:30:45 mysqld_safe message     2025-08-03T15:30:45.123456Z mysqld_safe message
 *   15:30:45 UTC - mysqld got signal 11 ;   in a crash, without a day
 *
 * Every other line goes on with the record before it: stack traces, InnoDB's monitors and deadlocks
 * (whose inner times are followed by something else), "Version: ...". */
#include "transform/mysql_log_impl.h"

#include "core/clock.h"

/* Behind a time: the parts of the first line. */
struct head {
    int64_t time_ns;
    struct str time, thread, level, code, subsystem, message;
};

static struct str skip_spaces(struct str s)
{
    size_t at = 0;
    while (at < s.n && (s.p[at] == ' ' || s.p[at] == '\t'))
        at++;
    return str_from(s, at);
}

/* "[Word]" at the beginning: what is in it; *rest behind it and a space. */
static bool take_bracket(struct str *rest, struct str *ret)
{
    size_t end = 1;
    if (!rest->n || rest->p[0] != '[')
        return false;
    while (end < rest->n && end < 40 && rest->p[end] != ']' && rest->p[end] != '\n')
        end++;
    if (end >= rest->n || rest->p[end] != ']' || end == 1)
        return false;
    *ret = str_of(rest->p + 1, end - 1);
    *rest = str_from(*rest, end + 1);
    if (rest->n && rest->p[0] == ' ')
        *rest = str_from(*rest, 1);
    return true;
}

/* A thread: a decimal number, or the hexadecimal address that InnoDB writes. */
static struct str take_thread(struct str *rest)
{
    size_t n = str_starts(*rest, STR("0x")) ? 2 : 0;
    while (n < rest->n && n < 20 &&
           ((rest->p[n] >= '0' && rest->p[n] <= '9') || (rest->p[n] >= 'a' && rest->p[n] <= 'f')))
        n++;
    struct str word = str_of(rest->p, n);
    if (!n || n >= rest->n || rest->p[n] != ' ')
        return (struct str){0};
    *rest = skip_spaces(str_from(*rest, n));
    return word;
}

/* "InnoDB: ", "server_audit: ", "mysqld_safe ": who writes without a level. */
static bool is_bare(struct str s)
{
    size_t n = 0;
    while (n < s.n && n < 40 &&
           ((s.p[n] >= 'a' && s.p[n] <= 'z') || (s.p[n] >= 'A' && s.p[n] <= 'Z') || s.p[n] == '_'))
        n++;
    return (n && str_starts(str_from(s, n), STR(": "))) || str_starts(s, STR("mysqld_safe ")) ||
           str_starts(s, STR("mariadbd-safe "));
}

/* Behind the time and a thread, where there is one: "[Level]", or what is written without one. */
static bool read_level(struct head *h, bool dated)
{
    struct str part;
    if (!take_bracket(&h->message, &h->level))
        return !dated || is_bare(h->message);
    while (take_bracket(&h->message, &part)) {
        if (str_starts(part, STR("MY-")) && !h->code.n)
            h->code = part;
        else if (h->code.n && !h->subsystem.n)
            h->subsystem = part;
        else {
            h->message.n += (size_t)(h->message.p - (part.p - 1));
            h->message.p = part.p - 1;
            break;
        }
    }
    return true;
}

/* "15:30:45 UTC - mysqld got signal 11 ;": on the day of the last record, or the one behind it. */
static bool read_signal(const struct mysql_log *m, struct str s, struct head *h)
{
    static const int64_t day = 86400 * NS_PER_S;
    int64_t hour, minute, second;
    struct str minutes = str_from(s, 3), seconds = str_from(s, 6);
    if (s.n < 15 || s.p[2] != ':' || s.p[5] != ':' || !str_starts(str_from(s, 8), STR(" UTC - ")) ||
        mysql_digits(str_of(s.p, 2), &hour) != 2 ||
        mysql_digits(str_of(minutes.p, 2), &minute) != 2 ||
        mysql_digits(str_of(seconds.p, 2), &second) != 2 || hour > 23 || minute > 59 || second > 60)
        return false;
    *h = (struct head){.level = STR("ERROR"), .time = str_of(s.p, 12), .message = str_from(s, 15)};
    h->time_ns = INT64_MIN;
    if (m->has_time && m->time_ns > 0 && m->time_ns < INT64_MAX - 2 * day) {
        h->time_ns =
            m->time_ns - m->time_ns % day + (hour * 3600 + minute * 60 + second) * NS_PER_S;
        if (h->time_ns < m->time_ns - NS_PER_S)
            h->time_ns += day;
    }
    return true;
}

static bool read_head(const struct mysql_log *m, struct str s, struct head *h)
{
    bool own;
    *h = (struct head){0};
    size_t n = mysql_time_read(m, s, &h->time_ns, &own);
    if (!n)
        return read_signal(m, s, h);
    if (n >= s.n || (s.p[n] != ' ' && s.p[n] != '\t'))
        return false;
    h->time = str_of(s.p, n);
    h->message = skip_spaces(str_from(s, n));
    if (str_starts(h->message, STR("UTC - "))) { /* 8.0.28 on, in a crash */
        h->level = STR("ERROR");
        h->message = str_from(h->message, 6);
        return true;
    }
    struct str behind = h->message;
    h->thread = take_thread(&h->message);
    if (read_level(h, !own))
        return str_find(str_of(behind.p, str_find_byte(behind, '\n', 0)),
                        STR("INNODB MONITOR OUTPUT")) == SIZE_MAX;
    return false;
}

static enum look look(struct mysql_log *m, const struct ahead *a)
{
    struct head h;
    char c = a->line.n ? a->line.p[0] : 0;
    if (c < '0' || c > '9')
        return LOOK_PART;
    return read_head(m, a->line, &h) ? LOOK_BEGIN : LOOK_PART;
}

/* ---- fields ---- */

/* The text between `before` and the next `quote`, in a message that has it. */
static struct str between(struct str s, const char *before, char quote)
{
    size_t at = str_find(s, str_c(before));
    if (at == SIZE_MAX)
        return (struct str){0};
    s = str_from(s, at + strlen(before));
    size_t end = str_find_byte(s, quote, 0);
    return end < s.n ? str_of(s.p, end) : (struct str){0};
}

static void put_if(struct batch *b, const char *key, struct str v)
{
    if (v.n)
        batch_text(b, str_c(key), LANE_STR, v);
}

/* Who is meant, where a message says so. */
static void put_client(struct batch *b, struct str message)
{
    struct str line = str_of(message.p, str_find_byte(message, '\n', 0));
    if (str_starts(line, STR("Aborted connection "))) {
        struct str id = str_from(line, 19);
        int64_t v;
        if (mysql_digits(id, &v))
            batch_int(b, STR("connection_id"), v);
        struct str db = between(line, " db: '", '\'');
        put_if(b, "schema", str_eq(db, STR("unconnected")) ? (struct str){0} : db);
        put_if(b, "user", between(line, " user: '", '\''));
        put_if(b, "host", between(line, " host: '", '\''));
    } else if (str_find(line, STR("Access denied for user '")) != SIZE_MAX) {
        put_if(b, "user", between(line, "Access denied for user '", '\''));
        put_if(b, "host", between(line, "'@'", '\''));
    }
}

static struct str subsystem_of(struct str message)
{
    static const struct str names[] = {{"server_audit", 12}, {"InnoDB", 6},  {"WSREP", 5},
                                       {"Aria", 4},          {"RocksDB", 7}, {"mysqld_safe", 11},
                                       {"mariadbd-safe", 13}};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (str_starts(message, names[i]) && message.n > names[i].n &&
            strchr(": ", message.p[names[i].n]))
            return names[i];
    return (struct str){0};
}

/* "... Error_code: 1062 ...", which servers before 8.0 write within messages of replication. */
static struct str code_of(struct str message)
{
    int64_t v;
    size_t at = str_find(message, STR("Error_code: "));
    if (at == SIZE_MAX)
        return (struct str){0};
    struct str code = str_from(message, at + 12);
    if (str_starts(code, STR("MY-")))
        return str_of(code.p, 3 + mysql_digits(str_from(code, 3), &v));
    return str_of(code.p, mysql_digits(code, &v));
}

static void put_thread(struct batch *b, struct str thread)
{
    int64_t v;
    if (thread.n && str_to_i64(thread, &v))
        batch_int(b, STR("thread_id"), v);
    else
        put_if(b, "thread_id", thread);
}

static bool put(struct mysql_log *m, const struct piece *p, struct batch *b)
{
    struct head h;
    struct str text = p->text;
    uint64_t missing = p->missing;
    if (!read_head(m, text, &h))
        return false;
    while (h.message.n && strchr("\r\n", h.message.p[h.message.n - 1]) &&
           h.message.p[h.message.n - 1])
        h.message.n--;
    if (h.message.n > m->text_max) {
        missing += h.message.n - m->text_max;
        h.message.n = m->text_max;
    }
    batch_text(b, STR("timestamp"), LANE_STR, h.time);
    put_if(b, "level", h.level);
    put_thread(b, h.thread);
    put_if(b, "error_code", h.code.n ? h.code : code_of(h.message));
    put_if(b, "subsystem", h.subsystem.n ? h.subsystem : subsystem_of(h.message));
    put_client(b, h.message);
    batch_text(b, STR("message"), LANE_STR, h.message);
    if (missing)
        batch_int(b, STR("truncated_bytes"), (int64_t)missing);
    m->counts.truncated_bytes += missing;
    if (h.time_ns == INT64_MIN)
        return true;
    m->has_time = true;
    m->time_ns = h.time_ns;
    batch_time(b, h.time_ns);
    return true;
}

static bool whole(const struct mysql_log *m, struct str text)
{
    return m->dropped || str_ends(text, STR("\n"));
}

const struct mysql_log_format mysql_error_format = {look, put, whole};
