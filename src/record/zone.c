/* TZif: a header of 44 bytes ("TZif", version, 15 reserved, six counts of 4 bytes: isutcnt,
 * isstdcnt, leapcnt, timecnt, typecnt, charcnt), then timecnt times (4 bytes in the first part),
 * timecnt indexes of types (1), typecnt types (4: seconds east of UTC, 1: summer time, 1: name),
 * the names, leap seconds, flags. From version 2 on a second header and part with times of 8 bytes
 * follow; all numbers are big-endian. Behind the last time of the file its last type goes on to
 * hold: Debian's files reach to 2037. */
#include "record/zone.h"

#include "core/buf.h"
#include "core/io.h"
#include "core/mem.h"

#include <stdlib.h>

enum { FILE_MAX = 256 << 10, HEADER_BYTES = 44, OFFSET_MAX = 26 * 3600 };

struct zone {
    int32_t first; /* before all changes */
    uint32_t n;
    struct zone_change {
        int64_t at; /* UTC */
        int32_t offset;
    } * change;
};

static enum err corrupt(void)
{
    return err_set(ERR_CORRUPT, "this is no TZif file, or a damaged one");
}

static uint32_t big32(const char *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int64_t big_time(const char *p, size_t width)
{
    uint64_t high = big32(p);
    return width == 4 ? (int32_t)high : (int64_t)(high << 32 | big32(p + 4));
}

struct part {
    size_t times, types, chars, leaps, isstd, isut, bytes;
};

static bool part_of(struct str s, size_t width, struct part *ret)
{
    if (s.n < HEADER_BYTES || memcmp(s.p, "TZif", 4) != 0)
        return false;
    size_t *count[] = {&ret->isut, &ret->isstd, &ret->leaps, &ret->times, &ret->types, &ret->chars};
    for (int i = 0; i < 6; i++) {
        *count[i] = big32(s.p + 20 + 4 * i);
        if (*count[i] > FILE_MAX)
            return false;
    }
    ret->bytes = HEADER_BYTES + ret->times * (width + 1) + ret->types * 6 + ret->chars +
                 ret->leaps * (width + 4) + ret->isstd + ret->isut;
    return ret->types > 0 && ret->bytes <= s.n;
}

static int32_t type_offset(const char *types, size_t i)
{
    return (int32_t)big32(types + 6 * i);
}

enum err zone_read(struct str tzif, struct zone **ret)
{
    struct part part;
    size_t width = 4;
    if (!part_of(tzif, width, &part))
        return corrupt();
    if (tzif.p[4] >= '2') {
        tzif = str_from(tzif, part.bytes);
        width = 8;
        if (!part_of(tzif, width, &part))
            return corrupt();
    }
    const char *times = tzif.p + HEADER_BYTES, *index = times + part.times * width,
               *types = index + part.times;
    struct zone *z = NEW(struct zone);
    z->change = NEW_ARRAY(struct zone_change, part.times + 1);
    z->first = type_offset(types, 0);
    bool good = abs(z->first) <= OFFSET_MAX;
    for (size_t i = 0; good && i < part.times; i++) {
        uint8_t type = (uint8_t)index[i];
        struct zone_change *c = &z->change[z->n++];
        c->at = big_time(times + i * width, width);
        c->offset = type < part.types ? type_offset(types, type) : INT32_MAX;
        good = abs(c->offset) <= OFFSET_MAX && (i == 0 || c->at > c[-1].at);
    }
    if (!good) {
        zone_free(z);
        return corrupt();
    }
    *ret = z;
    return OK;
}

/* "+05:30", "-0800", "+02" */
static bool fixed_offset(struct str s, int32_t *ret)
{
    uint64_t hours, minutes = 0;
    if (s.n < 3 || (s.p[0] != '+' && s.p[0] != '-') || !str_to_u64(str_of(s.p + 1, 2), &hours))
        return false;
    struct str rest = str_from(s, 3);
    if (rest.n && rest.p[0] == ':')
        rest = str_from(rest, 1);
    if ((rest.n || s.n > 3) && (rest.n != 2 || !str_to_u64(rest, &minutes)))
        return false;
    if (hours > 15 || minutes > 59)
        return false;
    int32_t seconds = (int32_t)(hours * 3600 + minutes * 60);
    *ret = s.p[0] == '-' ? -seconds : seconds;
    return true;
}

/* A name is one of the folder's own: no way out of it. */
static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(i && ((c >= '0' && c <= '9') || (c && strchr("/_+-", c)))))
            return false;
    }
    return s.n > 0 && s.n < 64;
}

static enum err zone_of_place(struct str name, struct zone **ret)
{
    const char *folder = getenv("TZDIR");
    struct buf bytes;
    enum err err = ERR_INVALID;
    buf_init(&bytes, FILE_MAX);
    if (is_name(name)) {
        char *path = mem_printf("%s/%.*s", folder ? folder : "/usr/share/zoneinfo", STR_ARG(name));
        err = io_read_file(path, FILE_MAX, &bytes);
        mem_free(path);
    }
    if (err == OK)
        err = zone_read(buf_str(&bytes), ret);
    buf_release(&bytes);
    if (err == OK)
        return OK;
    return err_set(ERR_INVALID,
                   "no time zone \"%.*s\": UTC, +05:30, or a name like Europe/Berlin (of the "
                   "machine's tzdata) is wanted",
                   name.n > 64 ? 64 : (int)name.n, name.p);
}

enum err zone_new(struct str name, struct zone **ret)
{
    int32_t offset = 0;
    if (name.n && !str_ieq(name, STR("UTC")) && !str_ieq(name, STR("GMT")) &&
        !str_eq_c(name, "Z") && !fixed_offset(name, &offset))
        return zone_of_place(name, ret);
    *ret = NEW(struct zone);
    (*ret)->first = offset;
    return OK;
}

void zone_free(struct zone *z)
{
    if (z)
        mem_free(z->change);
    mem_free(z);
}

int64_t zone_utc(const struct zone *z, int64_t local)
{
    /* The last change that had come on the clocks of before it. */
    uint32_t from = 0, to = z->n;
    while (from < to) {
        uint32_t at = from + (to - from) / 2;
        int32_t before = at ? z->change[at - 1].offset : z->first;
        if (z->change[at].at + before <= local)
            from = at + 1;
        else
            to = at;
    }
    return local - (from ? z->change[from - 1].offset : z->first);
}
