/* Times as MySQL and MariaDB write them into their logs. */
#include "transform/mysql_log_impl.h"

#include "core/clock.h"
#include "record/timestamp_civil.h"

size_t mysql_digits(struct str s, int64_t *ret)
{
    size_t n = 0;
    int64_t v = 0;
    while (n < s.n && n < 18 && s.p[n] >= '0' && s.p[n] <= '9')
        v = v * 10 + (s.p[n++] - '0');
    *ret = v;
    return n;
}

/* Just `width` digits, or with `pad` a space in place of the first. */
static bool number(struct str s, size_t at, size_t width, bool pad, int *ret)
{
    int v = 0;
    if (at + width > s.n)
        return false;
    for (size_t i = 0; i < width; i++) {
        char c = s.p[at + i];
        if (pad && i == 0 && c == ' ')
            continue;
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (c - '0');
    }
    *ret = v;
    return true;
}

/* "2025-08-03" or "250803": the bytes. */
static size_t read_date(struct str s, struct civil *c)
{
    int year;
    if (number(s, 0, 4, false, &year) && s.n > 4 && s.p[4] == '-') {
        if (!number(s, 5, 2, false, &c->month) || !number(s, 8, 2, false, &c->day) || s.p[7] != '-')
            return 0;
        c->year = year;
        return 10;
    }
    if (!number(s, 0, 2, false, &year) || !number(s, 2, 2, false, &c->month) ||
        !number(s, 4, 2, false, &c->day))
        return 0;
    c->year = year < 70 ? 2000 + year : 1900 + year;
    return 6;
}

static size_t read_fraction(struct str s, int64_t *ret_ns)
{
    int64_t ns = 0, unit = NS_PER_S / 10;
    size_t n = 1;
    *ret_ns = 0;
    if (s.n < 2 || s.p[0] != '.')
        return 0;
    for (; n < s.n && n < 10 && s.p[n] >= '0' && s.p[n] <= '9'; n++, unit /= 10)
        ns += (s.p[n] - '0') * unit;
    *ret_ns = ns;
    return n > 1 ? n : 0;
}

/* "Z" or "+02:00": seconds east; 0 bytes: there is none. */
static size_t read_offset(struct str s, int64_t *ret)
{
    int hours, minutes;
    *ret = 0;
    if (s.n && s.p[0] == 'Z')
        return 1;
    if (s.n < 6 || (s.p[0] != '+' && s.p[0] != '-') || s.p[3] != ':' ||
        !number(s, 1, 2, false, &hours) || !number(s, 4, 2, false, &minutes) || hours > 15 ||
        minutes > 59)
        return 0;
    int64_t seconds = hours * 3600 + minutes * 60;
    *ret = s.p[0] == '-' ? -seconds : seconds;
    return 6;
}

size_t mysql_time_read(const struct mysql_log *m, struct str s, int64_t *ret_ns, bool *ret_own)
{
    struct civil c = {0};
    int64_t fraction, offset, ns;
    size_t at = read_date(s, &c);
    bool iso = at == 10;
    if (!at || at + 9 > s.n || (s.p[at] != ' ' && !(iso && s.p[at] == 'T')))
        return 0;
    bool t = s.p[at++] == 'T';
    if (!number(s, at, 2, !t, &c.hour) || s.p[at + 2] != ':' ||
        !number(s, at + 3, 2, false, &c.minute) || at + 8 > s.n || s.p[at + 5] != ':' ||
        !number(s, at + 6, 2, false, &c.second) || !civil_valid(&c))
        return 0;
    at += 8;
    at += read_fraction(str_from(s, at), &fraction);
    size_t zone = t ? read_offset(str_from(s, at), &offset) : 0;
    int64_t local = civil_seconds(&c);
    if (!ns_of_seconds(zone ? local - offset : zone_utc(m->zone, local), fraction, &ns))
        return 0;
    *ret_ns = ns;
    *ret_own = t;
    return at + zone;
}
