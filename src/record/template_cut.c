/* Cutting texts into static text and variables, and what is static as a pattern. */
#include "record/template_cut.h"

#include "core/buf.h"
#include "core/hash.h"
#include "record/scan.h"

enum class { OTHER = 0, DIGIT = 1, ALPHA = 2, WORD = DIGIT | ALPHA, JOIN = 4 };
enum { SUFFIX_MAX = 4, PATH_STEPS = 2, LOOK = 64 };

static const uint8_t class_of[256] = {
    ['0' ... '9'] = DIGIT,
    ['a' ... 'z'] = ALPHA,
    ['A' ... 'Z'] = ALPHA,
    ['_'] = ALPHA,
    [0x80 ... 0xff] = ALPHA,
    ['.'] = JOIN,
    [':'] = JOIN,
    ['-'] = JOIN,
    ['/'] = JOIN,
    ['\\'] = JOIN,
    ['@'] = JOIN,
    ['+'] = JOIN,
    ['%'] = JOIN,
};

static inline enum class class_at(struct str s, size_t i) {
    return i < s.n ? (enum class)class_of[(uint8_t)s.p[i]] : OTHER;
}

static bool is_word(enum class c)
{
    return c & WORD;
}

struct token {
    size_t from, to;
    uint32_t joins, steps; /* steps: slashes of either kind; both may say 2 where there are more */
    bool digit;
};

/* Marks join where word characters stand on both sides; two of them may, as in C:\dir. */
static size_t joined(struct str s, size_t i)
{
    if (class_at(s, i) != JOIN)
        return 0;
    if (is_word(class_at(s, i + 1)))
        return 1;
    return class_at(s, i + 1) == JOIN && is_word(class_at(s, i + 2)) ? 2 : 0;
}

static inline scan_bytes joins_of(scan_bytes v)
{
    return (scan_bytes)((v - SCAN_ALL('-') <= SCAN_ALL('/' - '-')) | (v == SCAN_ALL(':')) |
                        (v == SCAN_ALL('@')) | (v == SCAN_ALL('\\')) | (v == SCAN_ALL('+')) |
                        (v == SCAN_ALL('%')));
}

static inline scan_bytes steps_of(scan_bytes v)
{
    return (scan_bytes)((v == SCAN_ALL('/')) | (v == SCAN_ALL('\\')));
}

/* Bytes by their classes, a bit each. */
struct look {
    uint64_t digits, joins, steps;
};

/* Adds sixteen bytes at `at` as bits from n on: how many there are before the first that no token
 * holds; behind the text there are none. */
static inline unsigned look_16(struct str s, size_t at, unsigned n, struct look *l)
{
    scan_bytes v = {0};
    unsigned beyond = 0;
    if (s.n - at >= sizeof(v)) {
        memcpy(&v, s.p + at, sizeof(v));
    } else if (s.n >= sizeof(v)) { /* the last sixteen */
        beyond = (unsigned)(sizeof(v) - (s.n - at));
        memcpy(&v, s.p + s.n - sizeof(v), sizeof(v));
    } else {
        memcpy(&v, s.p + at, s.n - at);
    }
    scan_bytes digits = scan_digits16(v);
    uint32_t held = scan_bits(digits | scan_letters16(v)) >> beyond;
    l->digits |= (uint64_t)(scan_bits(digits) >> beyond) << n;
    if (held == 0xffff)
        return sizeof(v);
    uint32_t joins = scan_bits(joins_of(v)) >> beyond;
    l->joins |= (uint64_t)joins << n;
    l->steps |= (uint64_t)(scan_bits(steps_of(v)) >> beyond) << n;
    return (unsigned)__builtin_ctz(~(held | joins));
}

/* The same of up to LOOK bytes. */
static inline unsigned look_at(struct str s, size_t at, struct look *l)
{
    *l = (struct look){0};
    for (unsigned n = 0; n < LOOK && at + n < s.n; n += sizeof(scan_bytes)) {
        unsigned held = look_16(s, at + n, n, l);
        if (held < sizeof(scan_bytes))
            return n + held;
    }
    return s.n - at < LOOK ? (unsigned)(s.n - at) : LOOK;
}

static inline uint32_t up_to_two(uint64_t bits)
{
    return (bits != 0) + ((bits & (bits - 1)) != 0);
}

static inline uint64_t below(unsigned n)
{
    return ((uint64_t)1 << n) - 1;
}

/* A token of words joined by marks, of which no more than two join. A long one is looked at anew
 * from behind a word. */
static struct token joined_token(struct str s, size_t i)
{
    struct token t = {.from = i, .to = i};
    for (bool more = true; more;) {
        struct look l;
        unsigned n = look_at(s, t.to, &l);
        more = n >= LOOK - 2;
        if (more)
            n = LOOK - 2;
        uint64_t three = l.joins & l.joins >> 1 & l.joins >> 2 & below(n);
        if (three) {
            n = (unsigned)__builtin_ctzll(three);
            more = false;
        }
        while (n && l.joins >> (n - 1) & 1)
            n--;
        t.to += n;
        t.joins += up_to_two(l.joins & ~(l.joins << 1) & below(n));
        t.steps += up_to_two(l.steps & below(n));
        t.digit |= (l.digits & below(n)) != 0;
    }
    return t;
}

static struct token word_token(struct str s, size_t i)
{
    struct token t = {.from = i, .to = i};
    for (unsigned n = sizeof(scan_bytes); n == sizeof(scan_bytes) && t.to < s.n; t.to += n) {
        struct look l = {0};
        n = look_16(s, t.to, 0, &l);
        if (l.joins)
            n = (unsigned)__builtin_ctzll(l.joins | (uint64_t)1 << n);
        t.digit |= (l.digits & below(n)) != 0;
    }
    return t;
}

static struct token next_token(struct str s, size_t i, enum template_cut cut)
{
    return cut == TEMPLATE_JOINED ? joined_token(s, i) : word_token(s, i);
}

static size_t skip_class(struct str s, size_t i, size_t end, enum class c)
{
    while (i < end && class_at(s, i) == c)
        i++;
    return i;
}

/* Letters that no hexadecimal number holds all of. */
static bool letters_tell(struct str s, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        char c = (char)(s.p[i] | 0x20);
        if (c < 'a' || c > 'f')
            return true;
    }
    return false;
}

/* digits[.digits][unit]: the number without its unit; 0 where it is none. */
static size_t number_end(struct str s, const struct token *t)
{
    size_t end = skip_class(s, t->from, t->to, DIGIT);
    if (end == t->from)
        return 0;
    if (t->joins == 1 && end < t->to && s.p[end] == '.') {
        size_t frac = skip_class(s, end + 1, t->to, DIGIT);
        if (frac == end + 1)
            return 0;
        end = frac;
    } else if (t->joins) {
        return 0;
    }
    size_t unit = skip_class(s, end, t->to, ALPHA);
    bool whole =
        unit == t->to && (end == t->to || (unit - end <= SUFFIX_MAX && letters_tell(s, end, unit)));
    return whole ? end : 0;
}

/* letters, then digits to the end: where the digits begin; 0 where it is not so. */
static size_t name_end(struct str s, const struct token *t)
{
    size_t letters = skip_class(s, t->from, t->to, ALPHA);
    if (t->joins || letters == t->from || !letters_tell(s, t->from, letters))
        return 0;
    return skip_class(s, letters, t->to, DIGIT) == t->to ? letters : 0;
}

static bool digits_as(struct str s, size_t from, const char *form)
{
    for (size_t i = 0; form[i]; i++) {
        enum class c = class_at(s, from + i);
        if (form[i] == '0' ? c != DIGIT : from + i >= s.n || s.p[from + i] != form[i])
            return false;
    }
    return true;
}

/* A date, one space and a time of day: to the end of the latter. */
static size_t date_time_end(struct str s, const struct token *t)
{
    if (t->to - t->from != TEMPLATE_DATE_BYTES || t->to >= s.n || s.p[t->to] != ' ' ||
        !digits_as(s, t->from, "0000-00-00") || !digits_as(s, t->to + 1, "00:00:00"))
        return t->to;
    size_t end = t->from + TEMPLATE_DATE_TIME_BYTES;
    if (end + 1 < s.n && (s.p[end] == '.' || s.p[end] == ',') && class_at(s, end + 1) == DIGIT)
        end = skip_class(s, end + 1, s.n, DIGIT);
    return end;
}

/* Spaces that align a number belong to it, but for the first. */
static size_t with_padding(struct str s, size_t from, size_t after)
{
    size_t i = from;
    while (i > after && s.p[i - 1] == ' ')
        i--;
    return from - i >= 2 ? i + 1 : from;
}

/* The variable of a token, if any; *next: where to go on. */
static bool token_var(struct str s, const struct token *t, size_t after, struct template_var *ret,
                      size_t *next)
{
    *next = t->to;
    size_t from = t->from, to = t->to, at;
    if (!t->digit) {
        if (t->steps < PATH_STEPS)
            return false;
    } else if ((at = number_end(s, t)) > 0) {
        from = with_padding(s, from, after);
        to = at;
    } else if ((at = name_end(s, t)) > 0) {
        from = at;
    } else {
        to = *next = date_time_end(s, t);
    }
    *ret = (struct template_var){(uint32_t)from, (uint32_t)to};
    return true;
}

bool template_token(struct str s, size_t at, enum template_cut cut, size_t after,
                    struct template_var *ret)
{
    size_t next;
    if (!is_word(class_at(s, at)))
        return false;
    struct token t = next_token(s, at, cut);
    return token_var(s, &t, after, ret, &next);
}

bool template_ends_token(struct str s, enum template_cut cut)
{
    return !is_word(class_at(s, 0)) && (cut == TEMPLATE_FINE || joined(s, 0) == 0);
}

size_t template_letters(struct str s)
{
    return skip_class(s, 0, s.n, ALPHA);
}

size_t template_letters_before(struct str s, size_t from, size_t end)
{
    size_t i = end;
    while (i > from && class_at(s, i - 1) == ALPHA)
        i--;
    return end - i;
}

bool template_is_unit(struct str letters)
{
    return letters.n <= SUFFIX_MAX && letters_tell(letters, 0, letters.n);
}

bool template_is_joined(struct str var)
{
    struct token t = next_token(var, 0, TEMPLATE_JOINED);
    bool may_be_date = var.n == TEMPLATE_DATE_BYTES,
         may_be_number = t.joins == 1 && memchr(var.p, '.', var.n);
    return t.to == var.n && t.joins && !may_be_date && !may_be_number;
}

/* The first digit or slash of either kind at or behind i. A token without one is no variable. */
static size_t next_mark(struct str s, size_t i)
{
    for (; i + sizeof(scan_bytes) <= s.n; i += sizeof(scan_bytes)) {
        scan_bytes v;
        memcpy(&v, s.p + i, sizeof(v));
        uint32_t hit = scan_bits(
            (scan_bytes)((v - SCAN_ALL('/') <= SCAN_ALL('9' - '/')) | (v == SCAN_ALL('\\'))));
        if (hit)
            return i + (size_t)__builtin_ctz(hit);
    }
    while (i < s.n && (uint8_t)(s.p[i] - '/') > '9' - '/' && s.p[i] != '\\')
        i++;
    return i;
}

/* From mark to mark: from one, back to the last byte that no token holds, and on by tokens. */
uint32_t template_vars(struct str s, enum template_cut cut, struct template_var *to)
{
    uint32_t n = 0;
    size_t i = 0, after = 0;
    if (s.n && memchr(s.p, TEMPLATE_HOLE, s.n))
        return 0;
    for (size_t mark; n < TEMPLATE_VARS_MAX && (mark = next_mark(s, i)) < s.n;) {
        size_t start = mark;
        while (start > i && class_at(s, start - 1) != OTHER)
            start--;
        i = start;
        while (i <= mark && n < TEMPLATE_VARS_MAX) {
            if (!is_word(class_at(s, i))) {
                i++;
                continue;
            }
            struct token t = next_token(s, i, cut);
            if (token_var(s, &t, after, &to[n], &i))
                after = to[n++].to;
        }
    }
    return n;
}

/* ---- patterns ---- */

void template_pattern(struct str s, struct buf *out)
{
    struct template_var var[TEMPLATE_VARS_MAX];
    uint32_t n = template_vars(s, TEMPLATE_JOINED, var);
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        buf_put(out, s.p + at, var[i].from - at);
        buf_put_c(out, TEMPLATE_SHOWN_HOLE);
        at = var[i].to;
    }
    buf_put(out, s.p + at, s.n - at);
}

uint64_t template_id(struct str pattern)
{
    return hash64(pattern);
}

uint64_t template_id_of(struct str s)
{
    struct buf pattern;
    buf_init(&pattern, SIZE_MAX);
    template_pattern(s, &pattern);
    uint64_t id = template_id(buf_str(&pattern));
    buf_release(&pattern);
    return id;
}

void template_id_write(uint64_t id, char *out)
{
    for (unsigned i = 0; i < TEMPLATE_ID_TEXT; i++)
        out[i] = "0123456789abcdef"[id >> (60 - 4 * i) & 15];
}

bool template_id_read(struct str s, uint64_t *ret)
{
    uint64_t id = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = (char)(s.p[i] | 0x20);
        bool letter = c >= 'a' && c <= 'f';
        if (!letter && (s.p[i] < '0' || s.p[i] > '9'))
            return false;
        id = id << 4 | (uint64_t)(letter ? c - 'a' + 10 : s.p[i] - '0');
    }
    *ret = id;
    return s.n == TEMPLATE_ID_TEXT;
}
