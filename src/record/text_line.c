/* Reading the head of a line. Each form of time is a pattern of digits and fixed bytes that says
 * how far it reaches; the reading itself is time_parse's, or a few numbers. */
#include "record/text_line.h"

#include "core/clock.h"
#include "record/timestamp.h"
#include "record/timestamp_civil.h"

#include <stdio.h>

enum { ACCESS_BYTES = 256, LEVEL_BYTES = 160 };

const char *const text_line_made_levels[] = {"INFO", "WARNING", "ERROR", "FATAL", NULL};
const char text_line_made_letters[] = "IWEF";

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

static inline bool is_letter(char c)
{
    return (unsigned char)((c | 0x20) - 'a') < 26;
}

static inline bool one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

/* The line begins as the pattern: '0' any digit, 'a' any letter, '_' a digit or a space, anything
 * else itself. */
static bool fits(struct str s, const char *pattern)
{
    size_t i = 0;
    for (; pattern[i]; i++) {
        if (i >= s.n)
            return false;
        char c = s.p[i];
        bool is = pattern[i] == '0'   ? is_digit(c)
                  : pattern[i] == 'a' ? is_letter(c)
                  : pattern[i] == '_' ? is_digit(c) || c == ' '
                                      : c == pattern[i];
        if (!is)
            return false;
    }
    return true;
}

static size_t digits(struct str s, size_t at)
{
    size_t n = 0;
    while (at + n < s.n && is_digit(s.p[at + n]))
        n++;
    return n;
}

/* A fraction at `at`: its bytes with the point, 0 for none. */
static size_t fraction(struct str s, size_t at)
{
    if (at >= s.n || (s.p[at] != '.' && s.p[at] != ','))
        return 0;
    size_t n = digits(s, at + 1);
    return n && n <= 9 ? n + 1 : 0;
}

/* A zone at `at`: Z, +01:00, +0100, +01, " +0100", " UTC", " GMT". */
static size_t zone(struct str s, size_t at)
{
    struct str rest = str_from(s, at);
    size_t space = rest.n && rest.p[0] == ' ';
    struct str behind = str_from(rest, space);
    if (!space && behind.n && (behind.p[0] == 'Z' || behind.p[0] == 'z'))
        return 1;
    if (space && (str_starts(behind, STR("UTC")) || str_starts(behind, STR("GMT"))))
        return 4;
    if (!behind.n || (behind.p[0] != '+' && behind.p[0] != '-'))
        return 0;
    behind = str_from(behind, 1);
    if (fits(behind, "00:00"))
        return space + 6;
    if (fits(behind, "0000"))
        return space + 5;
    return !space && fits(behind, "00") ? 3 : 0;
}

static bool parse(struct str text, int64_t near_ns, int64_t *ret)
{
    struct time_form form;
    return time_parse(text, near_ns, &form, ret);
}

static bool parse_parts(struct civil c, struct str frac, int64_t *ret)
{
    int64_t ns = 0;
    if (!civil_valid(&c))
        return false;
    for (size_t i = 1; i <= 9; i++)
        ns = ns * 10 + (i < frac.n ? frac.p[i] - '0' : 0);
    return ns_of_seconds(civil_seconds(&c), ns, ret);
}

static int number(struct str s, size_t at, size_t n)
{
    int v = 0;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + (s.p[at + i] == ' ' ? 0 : s.p[at + i] - '0');
    return v;
}

/* hh:mm:ss at `at`, with the date given. */
static struct civil with_clock(struct str s, size_t at, int64_t year, int month, int day)
{
    return (struct civil){
        year, month, day, number(s, at, 2), number(s, at + 3, 2), number(s, at + 6, 2)};
}

static int month_of(struct str s)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++)
        if (s.n >= 3 && memcmp(s.p, names + 3 * i, 3) == 0)
            return i + 1;
    return 0;
}

/* Each reader: the bytes the time takes at the head of `s`, or 0. */

static size_t read_iso(struct str s, int64_t near_ns, int64_t *ret)
{
    if (!fits(s, "0000-00-00") && !fits(s, "0000/00/00"))
        return 0;
    struct str clock = str_from(s, 11);
    if (s.n < 19 || !one_of(s.p[10], "Tt ") || !fits(clock, "00:00:00"))
        return 0;
    size_t n = 19 + fraction(s, 19), with_zone = n + zone(s, n);
    if (parse(str_of(s.p, with_zone), near_ns, ret))
        return with_zone;
    return parse(str_of(s.p, n), near_ns, ret) ? n : 0;
}

static size_t read_syslog(struct str s, int64_t near_ns, int64_t *ret)
{
    if (!fits(s, "aaa _0 00:00:00"))
        return 0;
    size_t n = 15 + fraction(s, 15);
    return parse(str_of(s.p, n), near_ns, ret) ? n : 0;
}

/* "Sat Feb 15 12:00:00 2025", with a fraction before the year perhaps. */
static size_t read_ctime(struct str s, int64_t near_ns, int64_t *ret)
{
    if (!fits(s, "aaa aaa _0 00:00:00"))
        return 0;
    size_t n = 19 + fraction(s, 19);
    int month = month_of(str_from(s, 4));
    if (!month || !fits(str_from(s, n), " 0000"))
        return 0;
    struct civil c = with_clock(s, 11, number(s, n + 1, 4), month, number(s, 8, 2));
    return parse_parts(c, str_of(s.p + 19, n - 19), ret) ? n + 5 : 0;
}

static size_t read_day_first(struct str s, int64_t near_ns, int64_t *ret)
{
    if (!fits(s, "_0 aaa 0000 00:00:00"))
        return 0;
    size_t n = 20 + fraction(s, 20);
    struct civil c = with_clock(s, 12, number(s, 7, 4), month_of(str_from(s, 3)), number(s, 0, 2));
    return parse_parts(c, str_of(s.p + 20, n - 20), ret) ? n : 0;
}

static size_t read_short_year(struct str s, int64_t near_ns, int64_t *ret)
{
    size_t at = fits(s, "00/00/00 00:00:00") ? 9 : fits(s, "000000 _0:00:00") ? 7 : 0;
    if (!at)
        return 0;
    size_t step = at == 9 ? 3 : 2, n = at + 8 + fraction(s, at + 8);
    int year = number(s, 0, 2);
    struct civil c = with_clock(s, at, year + (year < 70 ? 2000 : 1900), number(s, step, 2),
                                number(s, 2 * step, 2));
    return parse_parts(c, str_of(s.p + at + 8, n - at - 8), ret) ? n : 0;
}

static size_t read_compact(struct str s, int64_t near_ns, int64_t *ret)
{
    if (!fits(s, "00000000 00:00:00"))
        return 0;
    size_t n = 17 + fraction(s, 17);
    struct civil c = with_clock(s, 9, number(s, 0, 4), number(s, 4, 2), number(s, 6, 2));
    return parse_parts(c, str_of(s.p + 17, n - 17), ret) ? n : 0;
}

/* Without a year: as syslog's. */
static size_t read_klog(struct str s, int64_t near_ns, int64_t *ret)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char text[32];
    if (!fits(s, "a0000 00:00:00") || !one_of(s.p[0], text_line_made_letters))
        return 0;
    int month = number(s, 1, 2);
    size_t n = 14 + fraction(s, 14);
    if (month < 1 || month > 12)
        return 0;
    int size = snprintf(text, sizeof(text), "%.3s %.2s %.*s", names + (size_t)3 * (month - 1),
                        s.p + 3, (int)(n - 6), s.p + 6);
    return parse(str_of(text, (size_t)size), near_ns, ret) ? n : 0;
}

static size_t read_epoch(struct str s, int64_t near_ns, int64_t *ret)
{
    size_t whole = digits(s, 0), n = whole + fraction(s, whole);
    bool seconds = whole == 10, millis = whole == 13 && n == whole;
    if ((!seconds && !millis) || (n < s.n && s.p[n] != ' ' && s.p[n] != '\t'))
        return 0;
    return parse(str_of(s.p, n), near_ns, ret) ? n : 0;
}

/* "[15/Feb/2025:12:00:00 +0000]" */
static size_t read_access(struct str line, int64_t near_ns, int64_t *ret)
{
    struct str head = str_of(line.p, line.n < ACCESS_BYTES ? line.n : ACCESS_BYTES);
    for (size_t at = 0; (at = str_find_byte(head, '[', at)) < head.n; at++) {
        struct str s = str_from(line, at + 1);
        if (!fits(s, "00/aaa/0000:00:00:00"))
            continue;
        size_t end = str_find_byte(str_of(s.p, s.n < 40 ? s.n : 40), ']', 0);
        if (end < s.n && parse(str_of(s.p, end), near_ns, ret))
            return at + 1 + end;
    }
    return 0;
}

/* Brackets, a syslog priority with its version, and the like. */
static size_t skip_lead(struct str s)
{
    size_t at = 0;
    while (at < s.n && at < 8 && one_of(s.p[at], " \t[(-*\"'"))
        at++;
    if (at < s.n && s.p[at] == '<') {
        size_t n = digits(s, at + 1);
        if (n >= 1 && n <= 3 && at + 1 + n < s.n && s.p[at + 1 + n] == '>')
            at += n + 2;
        if (fits(str_from(s, at), "0 "))
            at += 2;
    }
    return at;
}

static size_t read_time(struct str line, int64_t near_ns, int64_t *ret)
{
    static size_t (*const readers[])(struct str, int64_t, int64_t *) = {
        read_iso,        read_syslog,  read_ctime, read_day_first,
        read_short_year, read_compact, read_klog,  read_epoch,
    };
    size_t at = skip_lead(line);
    struct str s = str_from(line, at);
    for (size_t i = 0; s.n && i < sizeof(readers) / sizeof(*readers); i++) {
        size_t n = readers[i](s, near_ns, ret);
        if (n)
            return at + n;
    }
    return read_access(line, near_ns, ret);
}

/* ---- levels ---- */

/* In small letters; a line's word is compared so. */
static const char *const levels[] = {
    "info",   "error",     "warn", "debug",   "warning", "err",      "notice",
    "trace",  "fatal",     "crit", "panic",   "alert",   "critical", "emerg",
    "severe", "emergency", "fine", "verbose", "finer",   "finest",
};

static bool is_level(struct str word)
{
    for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++)
        if (str_ieq(word, str_c(levels[i])))
            return true;
    return false;
}

static bool is_word_byte(char c)
{
    return is_letter(c) || is_digit(c) || c == '_' || (unsigned char)c > 127;
}

/* The key that ends here: "level=", "loglevel=", "lvl=", "severity=". */
static bool names_level(struct str key)
{
    return str_ends(key, STR("level")) || str_ends(key, STR("lvl")) ||
           str_ends(key, STR("severity"));
}

/* The word line[from, to) stands where a level does. */
static bool stands_as_level(struct str line, size_t from, size_t to)
{
    char before = from ? line.p[from - 1] : ' ', behind = to < line.n ? line.p[to] : ' ';
    bool capitals = true;
    for (size_t i = from; i < to; i++)
        capitals = capitals && line.p[i] < 'a';
    if (before == '"' && from > 1)
        before = line.p[--from - 1];
    if (before == '=')
        return names_level(str_of(line.p, from - 1));
    if (capitals)
        return one_of(before, " \t[(<|:*") && one_of(behind, " \t])>|:,*-");
    bool closed = one_of(before, "[(<|") && one_of(behind, "])>|");
    bool of_module = before == ':' && behind == ']';
    bool says = one_of(before, " \t,|") && (behind == ':' || behind == '|' || behind == ',');
    return closed || of_module || says;
}

static struct str read_level(struct str line, size_t at)
{
    size_t end = at + LEVEL_BYTES < line.n ? at + LEVEL_BYTES : line.n;
    while (at < end) {
        while (at < end && !is_word_byte(line.p[at]))
            at++;
        size_t from = at;
        while (at < end && is_word_byte(line.p[at]))
            at++;
        struct str word = str_of(line.p + from, at - from);
        if (word.n >= 3 && word.n <= 9 && stands_as_level(line, from, at) && is_level(word))
            return word;
    }
    return (struct str){0};
}

void text_line_read(struct str line, int64_t near_ns, struct text_line *ret)
{
    *ret = (struct text_line){0};
    size_t at = read_time(line, near_ns, &ret->time_ns);
    ret->has_time = at > 0;
    if (at && fits(line, "a0000 ") && one_of(line.p[0], text_line_made_letters))
        ret->level = str_c(text_line_made_levels[strchr(text_line_made_letters, line.p[0]) -
                                                 text_line_made_letters]);
    else
        ret->level = read_level(line, at);
}

void text_line_append(struct batch *b, struct str line, int64_t arrival_ns)
{
    struct text_line is;
    text_line_read(line, arrival_ns, &is);
    batch_begin(b);
    batch_text(b, STR("message"), LANE_STR, line);
    if (is.level.n)
        batch_text(b, STR("level"), LANE_STR, is.level);
    if (is.has_time)
        batch_time(b, is.time_ns);
    batch_end(b, arrival_ns, line);
}
