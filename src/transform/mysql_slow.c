/* Slow query logs. An entry:
 *
 *   # Time: 2025-08-03T15:30:45.123456Z     each (MySQL 5.7 on, Aurora 2 and 3), or where the
 *   # Time: 250803 15:30:45                 second is another than that of the entry before
 *                                           (MySQL 5.6, MariaDB)
 *   # User@Host: app[app] @ host [10.0.0.1]  Id:    42
 *   # Query_time: 1.000215  Lock_time: 0.000109 Rows_sent: 0  Rows_examined: 0 ...   "Name: value",
 *                                           as many and on as many lines as the server has
 *   # explain: ...                          MariaDB; "#" alone around it
 *   use shop;                               where it is another than that of the entry before
 *   SET timestamp=1754235045;               when it began; perhaps with last_insert_id, insert_id
 *   SELECT ...
 *   ...;
 *
 * Nothing in the file is escaped, so that a statement may hold lines that look like a header. One
 * is taken for a header where it has the whole form (a time that is one, a user with brackets, a
 * line that begins with "# " behind it) and follows a line that ends with ';' as every entry does,
 * or where the statement (which was cut, then) has no open quotes. Within quotes it is taken for a
 * part of the statement where its time is before what has been logged already, as in a statement
 * that stores an old log. */
#include "transform/mysql_log_impl.h"

#include "core/clock.h"
#include "record/timestamp.h"
#include "transform/sql_digest.h"

enum key_what { KEY_PLAIN, KEY_TEXT, KEY_SCHEMA, KEY_THREAD };
enum { PAIRS_MAX = 250 };

static const struct str time_head = {"# Time: ", 8}, user_head = {"# User@Host: ", 13},
                        command_head = {"# administrator command: ", 25},
                        explain_head = {"# explain: ", 11},
                        routine_head = {"# Stored routine: ", 18};

/* ---- which lines begin an entry ---- */

static bool is_banner(const struct ahead *a)
{
    return a->whole && str_find(a->line, STR(", Version: ")) != SIZE_MAX &&
           str_ends(str_trim(a->line), STR("started with:"));
}

/* Where "] @ " stands, behind a '['; SIZE_MAX: nowhere. */
static size_t user_end(struct str who)
{
    size_t at = str_find_byte(who, '[', 0);
    while (at < who.n && !str_starts(str_from(who, at), STR("] @ ")))
        at = str_find_byte(who, ']', at + 1);
    return at < who.n ? at : SIZE_MAX;
}

static bool is_user_line(struct str line)
{
    if (!str_starts(line, user_head))
        return false;
    size_t end = user_end(line);
    return end != SIZE_MAX && str_find_byte(line, '[', end) < line.n;
}

/* The first line of what is there, and whether more bytes could change it. */
static struct str next_line(const struct ahead *a, bool *ret_whole)
{
    size_t end = str_find_byte(a->next, '\n', 0);
    *ret_whole = end < a->next.n || a->last || end > HEAD_MAX;
    return str_of(a->next.p, end);
}

/* Whether the statement under way has quotes that are open. Each byte of it is looked at once. */
static bool in_quotes(struct mysql_log *m)
{
    struct str text = str_of(m->window.p + m->head, m->scan - m->head);
    if (m->dropped || text.n > m->text_max + HEADER_MAX)
        return false;
    while (!m->quotes.at && m->headers_n < text.n && text.p[m->headers_n] == '#')
        m->headers_n = str_find_byte(text, '\n', m->headers_n) + 1;
    return sql_in_quotes(&m->quotes, str_from(text, m->headers_n));
}

/* A whole header: whether it is one, or looks like one within a statement. */
static enum look judge(struct mysql_log *m, bool timed, int64_t time_ns)
{
    bool later = timed && (!m->has_time || time_ns >= m->time_ns);
    if (!m->begun || !m->headed || (m->ended && (later || (!timed && !m->forged))))
        return LOOK_BEGIN;
    if (in_quotes(m)) {
        m->forged = true;
        return LOOK_PART;
    }
    return m->ended || later || !timed ? LOOK_BEGIN : LOOK_PART;
}

static enum look look_time(struct mysql_log *m, const struct ahead *a)
{
    struct str time = str_trim(str_from(a->line, time_head.n));
    int64_t ns;
    bool own, whole;
    if (mysql_time_read(m, time, &ns, &own) != time.n)
        return LOOK_PART;
    struct str next = next_line(a, &whole);
    if (!whole)
        return LOOK_MORE;
    return is_user_line(next) ? judge(m, true, ns) : LOOK_PART;
}

/* The line behind "# Time:" goes on with it. */
static bool follows_time(const struct mysql_log *m)
{
    struct str text = str_of(m->window.p + m->head, m->scan - m->head);
    return m->begun && m->headed && m->lines == 1 && str_starts(text, time_head);
}

static enum look look(struct mysql_log *m, const struct ahead *a)
{
    struct str line = a->line;
    if (!line.n || !a->whole)
        return LOOK_PART;
    if (line.p[0] != '#')
        return (line.p[line.n - 1] == ':' || line.p[line.n - 1] == '\r') && is_banner(a)
                   ? LOOK_BANNER
                   : LOOK_PART;
    if (str_starts(line, time_head))
        return look_time(m, a);
    if (!is_user_line(line) || follows_time(m))
        return LOOK_PART;
    if (a->next.n < 2 && !a->last)
        return LOOK_MORE;
    return str_starts(a->next, STR("# ")) ? judge(m, false, 0) : LOOK_PART;
}

/* ---- headers ---- */

struct entry {
    struct batch *b;
    bool own_time, has_time, has_start, has_thread, has_schema;
    int64_t time_ns, start_ns;
    unsigned pairs;
};

static void learn(struct key *k, struct str raw)
{
    static const struct {
        struct str raw;
        const char *name;
        enum key_what what;
    } special[] = {
        {{"Id", 2}, "thread_id", KEY_THREAD},
        {{"Thread_id", 9}, "thread_id", KEY_THREAD},
        {{"Schema", 6}, "schema", KEY_SCHEMA},
        {{"Errno", 5}, "error_code", KEY_PLAIN},
        {{"Last_errno", 10}, "error_code", KEY_PLAIN},
        {{"Start", 5}, "start", KEY_TEXT},
        {{"End", 3}, "end", KEY_TEXT},
        {{"InnoDB_trx_id", 13}, "innodb_trx_id", KEY_TEXT},
        {{"Stored_routine", 14}, "stored_routine", KEY_TEXT},
    };
    k->n = (uint8_t)raw.n;
    k->what = KEY_PLAIN;
    memcpy(k->raw, raw.p, raw.n);
    for (size_t i = 0; i < raw.n; i++)
        k->name[i] = raw.p[i] >= 'A' && raw.p[i] <= 'Z' ? (char)(raw.p[i] + 32) : raw.p[i];
    k->name[raw.n] = 0;
    for (size_t i = 0; i < sizeof(special) / sizeof(*special); i++) {
        if (str_eq(raw, special[i].raw)) {
            memcpy(k->name, special[i].name, strlen(special[i].name) + 1);
            k->what = special[i].what;
        }
    }
}

static bool is_key(const struct key *k, struct str raw)
{
    return k->n == raw.n && memcmp(k->raw, raw.p, raw.n) == 0;
}

/* Headers have the same names in the same order: the one behind the last is looked at first. */
static const struct key *find_key(struct mysql_log *m, struct str raw, struct key *scratch)
{
    if (m->next_key < m->n_keys && is_key(&m->key[m->next_key], raw))
        return &m->key[m->next_key++];
    for (unsigned i = 0; i < m->n_keys; i++) {
        if (is_key(&m->key[i], raw)) {
            m->next_key = i + 1;
            return &m->key[i];
        }
    }
    struct key *k = m->n_keys < KEYS_MAX ? &m->key[m->n_keys++] : scratch;
    m->next_key = m->n_keys;
    learn(k, raw);
    return k;
}

static bool is_number(struct str s)
{
    size_t at = s.n && s.p[0] == '-', digits = at;
    while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
        at++;
    if (at == digits || at - digits > 30 || (at - digits > 1 && s.p[digits] == '0'))
        return false;
    if (at < s.n && s.p[at] == '.') {
        size_t point = ++at;
        while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
            at++;
        if (at == point)
            return false;
    }
    return at == s.n && s.n < 40;
}

/* 0.000180 is 180 of a scale of 6. */
static void put_number(struct batch *b, struct str key, struct str s)
{
    int64_t v = 0;
    uint8_t scale = 0;
    bool pointed = false;
    if (s.n > 18 || s.p[0] == '-') {
        batch_number(b, key, s);
        return;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.') {
            pointed = true;
            continue;
        }
        v = v * 10 + (s.p[i] - '0');
        scale = (uint8_t)(scale + pointed);
    }
    if (pointed)
        batch_dec(b, key, v, scale);
    else
        batch_int(b, key, v);
}

static void put_pair(struct mysql_log *m, struct entry *e, struct str raw, struct str value)
{
    struct key scratch;
    const struct key *k = find_key(m, raw, &scratch);
    struct str name = str_c(k->name);
    if (k->what == KEY_SCHEMA)
        e->has_schema = true;
    if (!value.n || (k->what == KEY_THREAD && e->has_thread))
        return;
    e->has_thread |= k->what == KEY_THREAD;
    if (k->what != KEY_TEXT && k->what != KEY_SCHEMA && is_number(value))
        put_number(e->b, name, value);
    else if (k->what == KEY_PLAIN && (str_eq(value, STR("Yes")) || str_eq(value, STR("No"))))
        batch_bool(e->b, name, value.n == 3);
    else
        batch_text(e->b, name, LANE_STR, value);
}

/* A word that ends with ':' is a name: no value looks so. */
static struct str take_word(struct str *rest)
{
    size_t at = 0;
    while (at < rest->n && rest->p[at] == ' ')
        at++;
    size_t from = at;
    while (at < rest->n && rest->p[at] != ' ')
        at++;
    struct str word = str_of(rest->p + from, at - from);
    *rest = str_from(*rest, at);
    return word;
}

static bool is_name(struct str word)
{
    return word.n > 1 && word.n < KEY_BYTES_MAX && word.p[word.n - 1] == ':';
}

/* "Name: value  Name: value": a value is what stands before the next name. False: it begins with
 * something else, or has too many. */
static bool put_pairs(struct mysql_log *m, struct entry *e, struct str line)
{
    struct str word = take_word(&line);
    if (!word.n)
        return true;
    while (is_name(word)) {
        struct str name = str_of(word.p, word.n - 1), value = take_word(&line);
        word = value;
        if (is_name(value))
            value.n = 0;
        else
            word = take_word(&line);
        while (word.n && !is_name(word)) { /* a value of several words */
            value.n = (size_t)(word.p + word.n - value.p);
            word = take_word(&line);
        }
        if (e->pairs++ == PAIRS_MAX)
            return false;
        put_pair(m, e, name, value);
    }
    return word.n == 0;
}

/* "app_role[app] @ host [10.0.0.1]  Id: 42" */
static bool put_user(struct mysql_log *m, struct entry *e, struct str line)
{
    size_t at = user_end(line);
    if (at == SIZE_MAX)
        return false;
    struct str who = str_of(line.p, at), where = str_from(line, at + 4);
    size_t bracket = str_find_byte(who, '[', 0), from = where.n;
    while (from > 0 && where.p[from - 1] != '[')
        from--;
    size_t to = str_find_byte(where, ']', from);
    if (bracket == who.n || !from || to >= where.n)
        return false;
    struct str role = str_of(who.p, bracket), user = str_from(who, bracket + 1);
    struct str host = str_trim(str_of(where.p, from - 1)), ip = str_of(where.p + from, to - from);
    if (user.n)
        batch_text(e->b, STR("user"), LANE_STR, user);
    if (role.n && !str_eq(role, user))
        batch_text(e->b, STR("priv_user"), LANE_STR, role);
    if (host.n || ip.n)
        batch_text(e->b, STR("host"), LANE_STR, host.n ? host : ip);
    if (ip.n)
        batch_text(e->b, STR("client_ip"), LANE_STR, ip);
    return put_pairs(m, e, str_from(where, to + 1));
}

static void put_time(struct mysql_log *m, struct entry *e, struct str text)
{
    if (mysql_time_read(m, text, &e->time_ns, &e->own_time) != text.n)
        return;
    e->has_time = true;
    if (e->own_time)
        batch_text(e->b, STR("timestamp"), LANE_STR, text);
}

static bool starts_i(struct str s, const char *head)
{
    size_t n = strlen(head);
    return s.n >= n && str_ieq(str_of(s.p, n), str_of(head, n));
}

/* "SET timestamp=1754235045;", "SET last_insert_id=3,insert_id=7,timestamp=1754235045;" */
static bool take_set(struct entry *e, struct str line)
{
    static const struct str names[] = {{"timestamp", 9}, {"last_insert_id", 14}, {"insert_id", 9}};
    struct str rest, one, value[3] = {{0}};
    if (!str_starts(line, STR("SET ")) || !str_ends(line, STR(";")) || line.n > 200)
        return false;
    rest = str_of(line.p + 4, line.n - 5);
    while (str_split(&rest, ',', &one)) {
        size_t i = 0, at = str_find_byte(one, '=', 0);
        while (i < 3 && !str_eq(str_of(one.p, at), names[i]))
            i++;
        if (i == 3 || at == one.n || value[i].p || !is_number(str_from(one, at + 1)))
            return false;
        value[i] = str_from(one, at + 1);
    }
    int64_t seconds;
    size_t digits = mysql_digits(value[0], &seconds);
    if (!digits || digits > 11)
        return false;
    int64_t unit = NS_PER_S / 10;
    e->start_ns = seconds < INT64_MAX / NS_PER_S ? seconds * NS_PER_S : 0;
    for (size_t i = digits + 1; i < value[0].n && unit; i++, unit /= 10)
        e->start_ns += (value[0].p[i] - '0') * unit;
    e->has_start = e->start_ns > 0;
    for (int i = 1; i < 3; i++)
        if (value[i].n)
            put_number(e->b, names[i], value[i]);
    return true;
}

/* "use `shop`;": the database of this and the entries behind it. */
static bool take_use(struct mysql_log *m, struct str line, struct str next)
{
    if (!starts_i(line, "use ") || !str_ends(line, STR(";")) || !str_starts(next, STR("SET ")))
        return false;
    struct str name = str_trim(str_of(line.p + 4, line.n - 5));
    if (name.n >= 2 && name.p[0] == '`' && name.p[name.n - 1] == '`')
        name = str_of(name.p + 1, name.n - 2);
    if (!name.n || name.n > DB_BYTES_MAX)
        return false;
    m->db_n = 0;
    for (size_t i = 0; i < name.n; i++) {
        m->db[m->db_n++] = name.p[i];
        i += name.p[i] == '`'; /* it is doubled */
    }
    return true;
}

/* ---- an entry ---- */

static struct str line_of(struct str text)
{
    size_t n = str_find_byte(text, '\n', 0);
    return str_of(text.p, n && text.p[n - 1] == '\r' ? n - 1 : n);
}

static struct str behind_line(struct str text)
{
    return str_from(text, str_find_byte(text, '\n', 0) + 1);
}

static void put_header_line(struct mysql_log *m, struct entry *e, struct str line)
{
    bool good = true;
    if (str_starts(line, user_head))
        good = put_user(m, e, str_from(line, user_head.n));
    else if (str_starts(line, time_head))
        put_time(m, e, str_trim(str_from(line, time_head.n)));
    else if (str_starts(line, routine_head))
        put_pair(m, e, STR("Stored_routine"), str_from(line, routine_head.n));
    else if (!str_starts(line, STR("# No InnoDB statistics")))
        good = put_pairs(m, e, str_from(line, 1));
    if (!good)
        batch_text(e->b, STR("header"), LANE_STR, line);
}

/* Lines "# explain: ..." as one text. */
static struct str put_explain(struct mysql_log *m, struct entry *e, struct str text)
{
    buf_clear(&m->text);
    while (str_starts(text, explain_head)) {
        if (m->text.n)
            buf_put_byte(&m->text, '\n');
        buf_put_str(&m->text, str_from(line_of(text), explain_head.n));
        text = behind_line(text);
    }
    batch_text(e->b, STR("explain"), LANE_STR, buf_str(&m->text));
    return text;
}

/* Over the lines in front of the statement: they go to the batch. */
static struct str put_headers(struct mysql_log *m, struct entry *e, struct str text)
{
    m->next_key = 0;
    while (text.n && text.p[0] == '#' && !str_starts(text, command_head)) {
        if (str_starts(text, explain_head)) {
            text = put_explain(m, e, text);
            continue;
        }
        struct str line = line_of(text);
        if (line.n > 1)
            put_header_line(m, e, line);
        text = behind_line(text);
    }
    struct str next = behind_line(text);
    if (take_use(m, line_of(text), line_of(next)))
        text = next;
    return take_set(e, line_of(text)) ? behind_line(text) : text;
}

/* Without the line's end and the ';' that the server writes. */
static struct str end_of_statement(struct str sql)
{
    if (sql.n && sql.p[sql.n - 1] == '\n')
        sql.n--;
    if (sql.n && sql.p[sql.n - 1] == '\r')
        sql.n--;
    if (sql.n && sql.p[sql.n - 1] == ';')
        sql.n--;
    return sql;
}

void mysql_put_statement(struct mysql_log *m, struct str sql, uint64_t missing, struct batch *b)
{
    char id[SQL_DIGEST_ID_BYTES];
    if (sql.n > m->text_max) {
        missing += sql.n - m->text_max;
        sql.n = m->text_max;
    }
    batch_text(b, STR("statement"), LANE_STR, sql);
    if (missing)
        batch_int(b, STR("truncated_bytes"), (int64_t)missing);
    m->counts.truncated_bytes += missing;
    buf_clear(&m->text);
    sql_digest_text(sql, &m->text);
    if (!m->text.n)
        return;
    sql_digest_id(buf_str(&m->text), id);
    batch_text(b, STR("digest"), LANE_STR, str_of(id, sizeof(id)));
    batch_text(b, STR("digest_text"), LANE_STR, buf_str(&m->text));
}

/* "# administrator command: Quit" is no SQL: it is its own digest. */
static void put_command(struct mysql_log *m, struct str command, struct batch *b)
{
    char id[SQL_DIGEST_ID_BYTES];
    struct str text = str_from(command, 2);
    sql_digest_id(text, id);
    batch_text(b, STR("command"), LANE_STR, str_from(command, command_head.n));
    batch_text(b, STR("statement"), LANE_STR, text);
    batch_text(b, STR("digest"), LANE_STR, str_of(id, sizeof(id)));
    batch_text(b, STR("digest_text"), LANE_STR, text);
}

/* The entry's own time where it has one, else when it began; else that of the header it shares. */
static void put_times(struct mysql_log *m, struct entry *e)
{
    char text[TIME_TEXT_MAX];
    if (e->has_start)
        batch_text(e->b, STR("started_at"), LANE_STR,
                   str_of(text, time_rfc3339(e->start_ns, text)));
    if (!e->own_time && e->has_start)
        e->time_ns = e->start_ns;
    else if (!e->has_time && m->has_time)
        e->time_ns = m->time_ns;
    else if (!e->has_time)
        return;
    m->has_time = true;
    m->time_ns = e->time_ns;
    batch_time(e->b, e->time_ns);
}

static bool put(struct mysql_log *m, const struct piece *p, struct batch *b)
{
    struct entry e = {.b = b};
    struct str sql = put_headers(m, &e, p->text);
    if (!e.has_schema && m->db_n)
        batch_text(b, STR("schema"), LANE_STR, str_of(m->db, m->db_n));
    put_times(m, &e);
    if (!p->missing)
        sql = end_of_statement(sql);
    if (str_starts(sql, command_head) && !p->missing)
        put_command(m, sql, b);
    else if (sql.n || p->missing)
        mysql_put_statement(m, sql, p->missing, b);
    return true;
}

/* Whether a statement stands behind the headers, and its ';' at the end. */
static bool whole(const struct mysql_log *m, struct str text)
{
    if (!str_ends(text, STR(";\n")))
        return false;
    if (m->dropped)
        return true;
    while (text.n && text.p[0] == '#' && !str_starts(text, command_head))
        text = behind_line(text);
    struct str first = line_of(text);
    if (starts_i(first, "use ") && str_starts(behind_line(text), STR("SET ")))
        text = behind_line(text);
    return str_starts(text, STR("SET ")) && str_find(line_of(text), STR("timestamp=")) != SIZE_MAX
               ? behind_line(text).n > 0
               : text.n > 0 && !starts_i(first, "use ");
}

const struct mysql_log_format mysql_slow_format = {look, put, whole};
