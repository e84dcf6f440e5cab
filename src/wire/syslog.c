/* Frames. A message that is counted is "LENGTH SP MESSAGE", LENGTH without leading zeros, and its
 * MESSAGE begins with '<': a line that only begins with a number is no count. All else ends at a
 * line feed or NUL. Both may come on one connection.
 *
 * RFC 5424:  <PRI>VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP SD [SP MSG]
 *            each "-" where there is none; SD is [ID NAME="VALUE" ...]..., with \" \\ \] escaped.
 * RFC 3164:  <PRI>Mmm dd hh:mm:ss HOSTNAME TAG[PID]: MSG
 *            as seen in the wild: an RFC 3339 time instead, no host, no PID, no TAG.
 * PRI is facility * 8 + severity, up to 191. */
#include "wire/syslog.h"

#include "core/hash.h"
#include "record/timestamp.h"
#include "wire/decode_impl.h"

enum { COUNT_DIGITS_MAX = 9, PRI_MAX = 191, TAG_MAX = 64, HOST_MAX = 255, BSD_TIME = 15 };

static const char *const facilities[] = {
    "kern",   "user",   "mail",     "daemon", "auth",   "syslog", "lpr",     "news",
    "uucp",   "cron",   "authpriv", "ftp",    "ntp",    "audit",  "console", "cron2",
    "local0", "local1", "local2",   "local3", "local4", "local5", "local6",  "local7",
};
static const char *const severities[] = {
    "emerg", "alert", "crit", "error", "warning", "notice", "info", "debug",
};

static int find_name(struct str name, const char *const *list, int n)
{
    int64_t number;
    for (int i = 0; i < n; i++)
        if (str_ieq(name, str_c(list[i])))
            return i;
    return str_to_i64(name, &number) && number >= 0 && number < n ? (int)number : -1;
}

int syslog_facility(struct str name)
{
    return find_name(name, facilities, sizeof(facilities) / sizeof(*facilities));
}

int syslog_severity(struct str name)
{
    static const struct {
        const char *name;
        int number;
    } others[] = {{"panic", 0}, {"emergency", 0},   {"critical", 2}, {"fatal", 2},  {"err", 3},
                  {"warn", 4},  {"information", 6}, {"trace", 7},    {"verbose", 7}};
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        if (str_ieq(name, str_c(others[i].name)))
            return others[i].number;
    return find_name(name, severities, sizeof(severities) / sizeof(*severities));
}

/* ---- frames ---- */

enum frame { FRAME_COUNTED, FRAME_LINE, FRAME_OPEN /* cannot be told yet */ };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The length written at the beginning and the bytes it takes with its space. */
static enum frame read_count(struct str in, size_t *ret_head, size_t *ret_n)
{
    size_t at = 0, n = 0;
    while (at < in.n && at < COUNT_DIGITS_MAX && is_digit(in.p[at]) && (at || in.p[0] != '0'))
        n = n * 10 + (size_t)(in.p[at++] - '0');
    if (at == in.n)
        return FRAME_OPEN;
    if (at == 0 || in.p[at] != ' ')
        return FRAME_LINE;
    *ret_head = at + 1;
    *ret_n = n;
    return FRAME_COUNTED;
}

/* The first message: *ret_n bytes with its framing. */
static enum frame next_frame(struct str in, struct str *ret, size_t *ret_n)
{
    size_t head, n;
    enum frame kind = read_count(in, &head, &n);
    if (kind == FRAME_COUNTED && head == in.n)
        return FRAME_OPEN;
    if (kind == FRAME_COUNTED && in.p[head] == '<') {
        if (in.n - head < n)
            return FRAME_OPEN;
        *ret = str_of(in.p + head, n);
        *ret_n = head + n;
        return FRAME_COUNTED;
    }
    size_t end = str_find_byte(in, '\n', 0);
    size_t nul = str_find_byte(str_of(in.p, end), '\0', 0);
    end = nul < end ? nul : end;
    if (end == in.n)
        return FRAME_OPEN;
    *ret = str_of(in.p, end);
    *ret_n = end + 1;
    return FRAME_LINE;
}

size_t syslog_cut(struct str in, bool ended)
{
    size_t at = 0, n;
    struct str message;
    if (ended)
        return in.n;
    while (at < in.n && next_frame(str_from(in, at), &message, &n) != FRAME_OPEN)
        at += n;
    return at;
}

/* ---- a message ---- */

struct message {
    struct str text;   /* all of it */
    unsigned priority; /* PRI_MAX + 1: none */
    bool is_5424;
    unsigned version;
    struct str timestamp, hostname, appname, procid, msgid, structured, content;
};

/* <PRI>: true where it is one; *rest goes behind it. */
static bool take_priority(struct str *rest, unsigned *ret)
{
    size_t close = str_find_byte(str_of(rest->p, rest->n < 5 ? rest->n : 5), '>', 0);
    uint64_t v;
    if (rest->n < 3 || rest->p[0] != '<' || close < 2 || close >= 5 || close >= rest->n ||
        !str_to_u64(str_of(rest->p + 1, close - 1), &v) || v > PRI_MAX)
        return false;
    *ret = (unsigned)v;
    *rest = str_from(*rest, close + 1);
    return true;
}

/* The bytes up to the next space, which goes too. */
static struct str take_word(struct str *rest)
{
    size_t end = str_find_byte(*rest, ' ', 0);
    struct str word = str_of(rest->p, end);
    *rest = str_from(*rest, end + 1);
    return word;
}

static struct str nil(struct str s)
{
    return str_eq(s, STR("-")) ? (struct str){0} : s;
}

/* The end of the structured data at the beginning, or SIZE_MAX. */
static size_t structured_end(struct str s)
{
    size_t at = 0;
    if (str_starts(s, STR("-")))
        return 1;
    while (at < s.n && s.p[at] == '[') {
        bool quoted = false;
        for (at++; at < s.n && (quoted || s.p[at] != ']'); at++) {
            if (quoted && s.p[at] == '\\' && at + 1 < s.n)
                at++;
            else if (s.p[at] == '"')
                quoted = !quoted;
        }
        if (at >= s.n)
            return SIZE_MAX;
        at++;
    }
    return at ? at : SIZE_MAX;
}

/* Behind the priority: "1 " and what follows. */
static bool read_5424(struct str rest, struct message *m)
{
    struct message got = *m;
    uint64_t version;
    struct str word = take_word(&rest);
    if (word.n == 0 || word.n > 3 || word.p[0] == '0' || !str_to_u64(word, &version))
        return false;
    struct time_form form;
    int64_t ns;
    got.is_5424 = true;
    got.version = (unsigned)version;
    got.timestamp = nil(take_word(&rest));
    if (got.timestamp.n && (!time_parse(got.timestamp, 0, &form, &ns) || form.kind != TIME_ISO))
        return false;
    got.hostname = nil(take_word(&rest));
    got.appname = nil(take_word(&rest));
    got.procid = nil(take_word(&rest));
    got.msgid = nil(take_word(&rest));
    size_t end = structured_end(rest);
    if (end == SIZE_MAX || (end < rest.n && rest.p[end] != ' '))
        return false;
    got.structured = nil(str_of(rest.p, end));
    got.content = str_from(rest, end + 1);
    if (str_starts(got.content, STR("\xef\xbb\xbf")))
        got.content = str_from(got.content, 3);
    *m = got;
    return true;
}

static bool take_time(struct str *rest, struct str *ret)
{
    struct time_form form;
    int64_t ns;
    struct str s = str_of(rest->p, rest->n < BSD_TIME ? rest->n : BSD_TIME);
    if (s.n == BSD_TIME && time_parse(s, 0, &form, &ns) && form.kind == TIME_SYSLOG) {
        *ret = s;
        *rest = str_from(*rest, BSD_TIME);
    } else {
        struct str after = *rest;
        s = take_word(&after);
        if (s.n < 10 || s.n > TIME_TEXT_MAX || !time_parse(s, 0, &form, &ns) ||
            form.kind != TIME_ISO)
            return false;
        *ret = s;
        *rest = str_from(*rest, s.n);
    }
    if (rest->n && rest->p[0] == ' ')
        *rest = str_from(*rest, 1);
    return true;
}

/* TAG, TAG[PID], with a colon behind; false, and nothing is taken, where there is none. */
static bool take_tag(struct str *rest, struct message *m)
{
    size_t at = 0;
    while (at < rest->n && at < TAG_MAX && (unsigned char)rest->p[at] > 0x20 &&
           rest->p[at] != '[' && rest->p[at] != ':')
        at++;
    if (at == 0 || at == rest->n)
        return false;
    struct str tag = str_of(rest->p, at), pid = {0};
    if (rest->p[at] == '[') {
        size_t close = str_find_byte(*rest, ']', at);
        if (close == rest->n || close - at > TAG_MAX)
            return false;
        pid = str_of(rest->p + at + 1, close - at - 1);
        at = close + 1;
    }
    bool colon = at < rest->n && rest->p[at] == ':';
    if (!colon && !pid.p)
        return false;
    at += colon;
    m->appname = tag;
    m->procid = pid;
    *rest = str_from(*rest, at);
    if (rest->n && rest->p[0] == ' ')
        *rest = str_from(*rest, 1);
    return true;
}

static void read_3164(struct str rest, struct message *m)
{
    m->content = rest;
    if (!take_time(&rest, &m->timestamp))
        return;
    if (!take_tag(&rest, m)) {
        struct str host = take_word(&rest);
        m->hostname = host.n <= HOST_MAX ? host : (struct str){0};
        if (host.n > HOST_MAX)
            rest = str_of(host.p, (size_t)(rest.p + rest.n - host.p));
        else
            (void)take_tag(&rest, m);
    }
    m->content = rest;
}

static void read_message(struct str text, struct message *m)
{
    struct str rest = text;
    *m = (struct message){.text = text, .priority = PRI_MAX + 1, .content = text};
    if (!take_priority(&rest, &m->priority))
        return;
    m->content = rest;
    if (!read_5424(rest, m))
        read_3164(rest, m);
}

/* ---- to a record ---- */

/* "NAME="VALUE" at the beginning of *rest, which may begin with spaces. */
static bool take_param(struct str *rest, struct str *ret_name, struct str *ret_value)
{
    while (rest->n && rest->p[0] == ' ')
        *rest = str_from(*rest, 1);
    size_t eq = str_find_byte(*rest, '=', 0);
    if (eq + 1 >= rest->n || rest->p[eq + 1] != '"')
        return false;
    size_t from = eq + 2, at = from;
    while (at < rest->n && rest->p[at] != '"')
        at += rest->p[at] == '\\' && at + 1 < rest->n ? 2 : 1;
    if (at >= rest->n)
        return false;
    *ret_name = str_of(rest->p, eq);
    *ret_value = str_of(rest->p + from, at - from);
    *rest = str_from(*rest, at + 1);
    return true;
}

static void put_value(struct put *p, struct str name, struct str value)
{
    if (str_find_byte(value, '\\', 0) == value.n) {
        put_text(p, name, value);
        return;
    }
    buf_clear(p->scratch);
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '\\' && i + 1 < value.n && memchr("\"\\]", value.p[i + 1], 3))
            i++;
        buf_put_byte(p->scratch, value.p[i]);
    }
    put_text(p, name, buf_str(p->scratch));
}

/* One [ID NAME="VALUE" ...], given without its brackets. */
static enum err put_element(struct put *p, struct str s)
{
    struct str id = take_word(&s), name, value;
    if (!take_param(&s, &name, &value)) {
        put_empty(p, id);
        return OK;
    }
    TRY(put_open(p, id));
    do
        put_value(p, name, value);
    while (take_param(&s, &name, &value));
    put_close(p);
    return OK;
}

static enum err put_structured(struct put *p, struct str s)
{
    TRY(put_open(p, STR("structured_data")));
    while (s.n) {
        /* The end of the first element: that of all, with the rest seen as none. */
        bool quoted = false;
        size_t at = 1;
        for (; at < s.n && (quoted || s.p[at] != ']'); at++) {
            if (quoted && s.p[at] == '\\' && at + 1 < s.n)
                at++;
            else if (s.p[at] == '"')
                quoted = !quoted;
        }
        TRY(put_element(p, str_of(s.p + 1, at - 1)));
        s = str_from(s, at + 1);
    }
    put_close(p);
    return OK;
}

static enum err put_message(void *ctx, struct put *p)
{
    const struct message *m = ctx;
    if (m->priority <= PRI_MAX) {
        put_text(p, STR("facility"), str_c(facilities[m->priority >> 3]));
        put_text(p, STR("severity"), str_c(severities[m->priority & 7]));
    }
    if (m->is_5424)
        put_int(p, STR("version"), m->version);
    put_text_if(p, STR("timestamp"), m->timestamp);
    put_text_if(p, STR("hostname"), m->hostname);
    put_text_if(p, STR("appname"), m->appname);
    put_text_if(p, STR("procid"), m->procid);
    put_text_if(p, STR("msgid"), m->msgid);
    if (m->structured.n)
        TRY(put_structured(p, m->structured));
    put_text(p, STR("message"), m->content);
    return OK;
}

static struct str without_end(struct str text)
{
    while (text.n && strchr("\r\n", text.p[text.n - 1]))
        text.n--;
    return text;
}

static enum err add_message(struct wire_decoder *d, struct str text)
{
    text = without_end(text);
    if (!text.n)
        return OK;
    struct message m;
    read_message(text, &m);
    struct wire_record r = {.put = put_message, .ctx = &m, .raw = text, .cost = text.n * 4};
    return wire_add(d, &r);
}

void syslog_read_line(struct str in, struct syslog_line *ret)
{
    struct str text;
    struct message m = {0};
    if (next_frame(in, &text, &ret->n) == FRAME_OPEN) {
        text = in;
        ret->n = in.n;
    }
    text = without_end(text);
    if (text.n)
        read_message(text, &m);
    ret->content = m.content;
    ret->source =
        hash64_seed(m.hostname, hash64_seed(m.appname, hash64_seed(m.procid, text.n == 0)));
}

enum err wire_decode_syslog(struct wire_decoder *d, struct str body)
{
    while (body.n) {
        struct str text;
        size_t n;
        if (next_frame(body, &text, &n) == FRAME_OPEN) {
            text = body; /* the connection ended in it */
            n = body.n;
        }
        TRY(add_message(d, text));
        body = str_from(body, n);
    }
    return OK;
}

enum err wire_decode_syslog_counted(struct wire_decoder *d, struct str body)
{
    while (body.n) {
        size_t head, n;
        if (read_count(body, &head, &n) != FRAME_COUNTED || body.n - head < n)
            return err_set(ERR_INVALID, "a count of bytes is wanted at message %u of the body",
                           d->position);
        TRY(add_message(d, str_of(body.p + head, n)));
        body = str_from(body, head + n);
    }
    return OK;
}
