/* Weir's own log lines.
 *
 *   {"time":"2026-11-21T07:56:49.123Z","level":"info","event":"segment
 * published","rows":12,"file":"a"} 2026-11-21T07:56:49.123Z INFO  segment published rows=12 file=a
 *
 * Keys are taken from the format, never from formatted values: the format is copied with marks
 * before each key and value (MARK_*), then formatted, then split at the marks. So a value with
 * spaces or with "x=y" inside stays one value. A value is a JSON number when its conversion is not
 * %s and its text is a number.
 *
 * Of identical lines (level, event, details) ten a minute are written; the rest are counted and
 * told by a line "repeated" when their minute is over. One write(2) a line, so that lines of
 * threads never mix. */
#include "core/log.h"

#include "core/buf.h"
#include "core/clock.h"
#include "core/hash.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <utf8proc.h>

enum { OUT_MAX = 1 << 15, DETAIL_MAX = 4096, FORMAT_MAX = 1024, SLOTS = 128, PER_MINUTE = 10 };
enum { MARK_KEY = 0x1e, MARK_TEXT = 0x1f, MARK_NUMBER = 0x1d };

struct slot {
    uint64_t key;
    int64_t until; /* monotonic end of the window */
    unsigned seen;
    enum log_level level;
    char event[64];
};

static _Atomic int min_level = LOG_INFO;
static _Atomic int json_mode = -1; /* -1: by the terminal */
static _Atomic bool in_capitals;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct slot slots[SLOTS];
static int64_t next_sweep;
static void (*the_tap)(void *ctx, struct str line); /* lock */
static void *tap_ctx;
static _Thread_local bool tap_muted;

void log_set_level(enum log_level level)
{
    min_level = level;
}

void log_set_json(bool json)
{
    json_mode = json;
}

void log_set_capitals(bool capitals)
{
    in_capitals = capitals;
}

void log_set_tap(void (*tap)(void *ctx, struct str line), void *ctx)
{
    pthread_mutex_lock(&lock);
    the_tap = tap;
    tap_ctx = ctx;
    pthread_mutex_unlock(&lock);
}

void log_mute_tap(void)
{
    tap_muted = true;
}

static bool is_key_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

/* The mark for the value whose format starts at `at`. */
static char value_mark(const char *at)
{
    if (*at != '%')
        return MARK_TEXT;
    at += 1 + strspn(at + 1, "-+ #0123456789.*hlzjtL");
    return strchr("diufFgG", *at) ? MARK_NUMBER : MARK_TEXT;
}

/* Copies the format, each "key=" at its start or behind a space as MARK_KEY key MARK_TEXT|NUMBER.
 */
static void mark_format(const char *fmt, char out[FORMAT_MAX])
{
    size_t n = 0;
    bool boundary = true;
    CHECK(strlen(fmt) < FORMAT_MAX - 4); /* at most one mark more than it had spaces and '=' */
    while (*fmt) {
        size_t key = 0;
        while (boundary && is_key_byte(fmt[key]))
            key++;
        if (key && fmt[key] == '=') {
            if (n && out[n - 1] == ' ')
                n--;
            out[n++] = MARK_KEY;
            memcpy(out + n, fmt, key);
            n += key;
            fmt += key + 1;
            out[n++] = value_mark(fmt);
            boundary = false;
            continue;
        }
        boundary = *fmt == ' ';
        out[n++] = *fmt++;
    }
    out[n] = 0;
}

static bool is_number(struct str s)
{
    double v;
    struct str digits = s.n && s.p[0] == '-' ? str_from(s, 1) : s;
    if (digits.n == 0 || digits.p[0] < '0' || digits.p[0] > '9' || digits.p[digits.n - 1] == '.')
        return false;
    if (digits.n > 1 && digits.p[0] == '0' && digits.p[1] != '.' && digits.p[1] != 'e')
        return false;
    return str_to_f64(s, &v);
}

/* Bytes that are not UTF-8 become U+FFFD, control characters are escaped. */
static void put_escaped(struct buf *out, struct str s, bool quotes)
{
    for (size_t i = 0; i < s.n;) {
        utf8proc_int32_t rune;
        utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)s.p + i, (utf8proc_ssize_t)(s.n - i), &rune);
        char c = s.p[i];
        if (n < 1)
            buf_put_c(out, "\xef\xbf\xbd");
        else if (c == '\n')
            buf_put_c(out, "\\n");
        else if ((unsigned char)c < 0x20 || c == 0x7f)
            buf_printf(out, "\\u%04x", (unsigned)(unsigned char)c);
        else if (quotes && (c == '"' || c == '\\'))
            buf_printf(out, "\\%c", c);
        else
            buf_put(out, s.p + i, (size_t)n);
        i += n < 1 ? 1 : (size_t)n;
    }
}

static void put_quoted(struct buf *out, struct str s)
{
    buf_put_byte(out, '"');
    put_escaped(out, s, true);
    buf_put_byte(out, '"');
}

/* In text, what would not be seen as one value. */
static bool wants_quotes(struct str s)
{
    bool plain = s.n > 0;
    for (size_t i = 0; plain && i < s.n; i++)
        plain = s.p[i] != ' ' && s.p[i] != '"' && s.p[i] != '=';
    return !plain;
}

static void put_pair(struct buf *out, bool json, struct str key, struct str value, bool number)
{
    if (!json) {
        buf_put_byte(out, ' ');
        if (key.n) {
            buf_put_str(out, key);
            buf_put_byte(out, '=');
        }
        if (key.n && wants_quotes(value))
            put_quoted(out, value);
        else
            put_escaped(out, value, false);
        return;
    }
    buf_put_byte(out, ',');
    put_quoted(out, key.n ? key : STR("detail"));
    buf_put_byte(out, ':');
    if (number && is_number(value))
        buf_put_str(out, value);
    else
        put_quoted(out, value);
}

/* details: text in front of the first key, if any, then MARK_KEY key MARK_x value ... */
static void put_details(struct buf *out, bool json, struct str details)
{
    size_t first = str_find_byte(details, MARK_KEY, 0);
    struct str lead = str_trim(str_of(details.p, first));
    if (lead.n)
        put_pair(out, json, (struct str){0}, lead, false);
    struct str rest = str_from(details, first + 1), part;
    while (rest.n && str_split(&rest, MARK_KEY, &part)) {
        size_t key = 0;
        while (key < part.n && part.p[key] != MARK_TEXT && part.p[key] != MARK_NUMBER)
            key++;
        bool number = key < part.n && part.p[key] == MARK_NUMBER;
        put_pair(out, json, str_of(part.p, key), str_from(part, key + 1), number);
    }
}

static void put_json(struct buf *out, const char *when, enum log_level level, const char *name,
                     const char *event, struct str details)
{
    static const char *const names[2][4] = {{"debug", "info", "warn", "error"},
                                            {"DEBUG", "INFO", "WARN", "ERROR"}};
    buf_printf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"%s\":", when, names[in_capitals][level],
               name);
    put_quoted(out, str_c(event));
    put_details(out, true, details);
    buf_put_c(out, "}\n");
}

static void put_plain(struct buf *out, const char *when, enum log_level level, const char *event,
                      struct str details)
{
    static const char *const names[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
    buf_printf(out, "%s %s ", when, names[level]);
    put_escaped(out, str_c(event), false);
    put_details(out, false, details);
    buf_put_c(out, "\n");
}

static void write_line(enum log_level level, const char *event, struct str details)
{
    int mode = json_mode;
    bool json = mode < 0 ? !isatty(STDERR_FILENO) : mode;
    int64_t now = clock_now_ns();
    time_t seconds = (time_t)(now / NS_PER_S);
    struct tm tm;
    char when[40];
    gmtime_r(&seconds, &tm);
    size_t n = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(when + n, sizeof(when) - n, ".%03dZ", (int)(now % NS_PER_S / NS_PER_MS));

    struct buf out;
    buf_init(&out, OUT_MAX); /* every byte may be escaped */
    if (json)
        put_json(&out, when, level, "event", event, details);
    else
        put_plain(&out, when, level, event, details);
    ssize_t written = write(STDERR_FILENO, out.p, out.n);
    (void)written; /* there is nowhere left to say it */
    if (the_tap && !tap_muted) {
        buf_clear(&out);
        put_json(&out, when, level, "message", event, details);
        the_tap(tap_ctx, buf_str(&out));
    }
    buf_release(&out);
}

static void write_repeated(struct slot *s)
{
    if (s->seen > PER_MINUTE) {
        char details[160];
        snprintf(details, sizeof(details), "%cof%c%s%ctimes%c%u", MARK_KEY, MARK_TEXT, s->event,
                 MARK_KEY, MARK_NUMBER, s->seen - PER_MINUTE);
        write_line(s->level, "repeated", str_c(details));
    }
    s->seen = 0;
}

/* Whether the line may be written; tells of suppressed lines whose window is over. */
static bool admit(enum log_level level, const char *event, struct str details)
{
    int64_t now = clock_mono_ns();
    uint64_t key = hash64_seed(details, hash64(str_c(event)) + (uint64_t)level);
    if (now >= next_sweep) {
        for (int i = 0; i < SLOTS; i++) {
            if (slots[i].seen && now >= slots[i].until)
                write_repeated(&slots[i]);
        }
        next_sweep = now + 10 * NS_PER_S;
    }
    struct slot *s = &slots[key % SLOTS];
    if (s->seen == 0 || s->key != key || now >= s->until) {
        write_repeated(s);
        s->key = key;
        s->level = level;
        s->until = now + 60 * NS_PER_S;
        snprintf(s->event, sizeof(s->event), "%s", event);
    }
    return ++s->seen <= PER_MINUTE;
}

void log_at(enum log_level level, const char *event, const char *fmt, ...)
{
    if ((int)level < min_level)
        return;
    char marked[FORMAT_MAX], details[DETAIL_MAX] = "";
    if (fmt) {
        va_list ap;
        va_start(ap, fmt);
        mark_format(fmt, marked);
        vsnprintf(details, sizeof(details), marked, ap);
        va_end(ap);
    }
    pthread_mutex_lock(&lock);
    if (admit(level, event, str_c(details)))
        write_line(level, event, str_c(details));
    pthread_mutex_unlock(&lock);
}
