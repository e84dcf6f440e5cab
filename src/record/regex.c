/* Regular expressions by PCRE2: compiled once with the JIT, matched with memory that belongs to the
 * thread. Text may hold any bytes (PCRE2_MATCH_INVALID_UTF); a match that takes too many steps ends
 * with ERR_LIMIT, so that no pattern holds a thread for long.
 *
 * The literal: the longest run of plain characters at the top of the pattern, outside groups,
 * classes and alternatives, without those that a quantifier may drop. Every match holds it as it is
 * written, so bytes are searched for it first. Where the pattern has anything that could change the
 * meaning of plain characters (flags, verbs, \Q, comments), there is none: a missing literal costs
 * time, a wrong one would lose matches. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/mem.h"
#include "core/thread.h"
#include "record/bitmap.h"
#include "record/predicate_impl.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#define MATCH_STEPS_MAX 1000000
#define MATCH_HEAP_KIB_MAX 8192
#define JIT_STACK_BYTES_MAX (512 << 10)

/* What a thread matches with. */
struct regex_room {
    pcre2_match_data *data;
    pcre2_match_data *groups; /* with room for those of a pattern; made when first needed */
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static void room_free(void *arg)
{
    struct regex_room *room = arg;
    pcre2_match_data_free(room->data);
    pcre2_match_data_free(room->groups);
    pcre2_match_context_free(room->context);
    pcre2_jit_stack_free(room->stack);
    mem_free(room);
}

static void *room_make(void)
{
    struct regex_room *room = NEW(struct regex_room);
    room->data = pcre2_match_data_create(1, NULL);
    room->context = pcre2_match_context_create(NULL);
    room->stack = pcre2_jit_stack_create(32 << 10, JIT_STACK_BYTES_MAX, NULL);
    CHECK(room->data && room->context && room->stack);
    pcre2_set_match_limit(room->context, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(room->context, MATCH_HEAP_KIB_MAX);
    pcre2_jit_stack_assign(room->context, NULL, room->stack);
    return room;
}

static struct regex_room *room_of_thread(void)
{
    static struct thread_own rooms = THREAD_OWN(room_make, room_free);
    return thread_own(&rooms);
}

static void code_free(void *arg)
{
    pcre2_code_free(arg);
}

enum err regex_compile_at(struct arena *a, struct str pattern, void **ret, size_t *ret_at)
{
    int code;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)(pattern.n ? pattern.p : ""), pattern.n,
                                   PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |
                                       PCRE2_DUPNAMES,
                                   &code, ret_at, NULL);
    if (!re) {
        PCRE2_UCHAR text[160];
        pcre2_get_error_message(code, text, sizeof(text));
        return err_set(ERR_INVALID, "regular expression: %s", (const char *)text);
    }
    (void)pcre2_jit_compile(re, PCRE2_JIT_COMPLETE); /* without it the interpreter matches */
    arena_defer(a, code_free, re);
    *ret = re;
    return OK;
}

enum err regex_compile(struct arena *a, struct str pattern, void **ret)
{
    size_t at = 0;
    if (regex_compile_at(a, pattern, ret, &at) == OK)
        return OK;
    char why[200];
    snprintf(why, sizeof(why), "%s", err_text());
    return err_set(ERR_INVALID, "%s at byte %zu", why, at);
}

static int group_cmp(const void *a, const void *b)
{
    const struct regex_group *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

enum err regex_groups(const void *regex, struct arena *a, const struct regex_group **ret,
                      uint32_t *ret_n)
{
    uint32_t n = 0, size = 0, all = 0;
    PCRE2_SPTR table = NULL;
    (void)pcre2_pattern_info(regex, PCRE2_INFO_CAPTURECOUNT, &all);
    (void)pcre2_pattern_info(regex, PCRE2_INFO_NAMECOUNT, &n);
    (void)pcre2_pattern_info(regex, PCRE2_INFO_NAMEENTRYSIZE, &size);
    (void)pcre2_pattern_info(regex, PCRE2_INFO_NAMETABLE, &table);
    if (all > REGEX_GROUPS_MAX)
        return err_set(ERR_INVALID, "regular expression: more than %d groups", REGEX_GROUPS_MAX);
    struct regex_group *group = ARENA_ARRAY(a, struct regex_group, n + 1);
    for (uint32_t i = 0; i < n; i++, table += size)
        group[i] = (struct regex_group){arena_str(a, str_c((const char *)table + 2)),
                                        (uint32_t)table[0] << 8 | table[1]};
    if (n > 1)
        qsort(group, n, sizeof(*group), group_cmp);
    *ret = group;
    *ret_n = n;
    return OK;
}

static enum err too_many_steps(struct str text)
{
    return err_set(ERR_LIMIT, "regular expression /%.*s/ takes more than %d steps on a value",
                   text.n > 200 ? 200 : (int)text.n, text.p, MATCH_STEPS_MAX);
}

enum err regex_find(const void *regex, struct str text, struct str s, const size_t **ret_pair,
                    uint32_t *ret_n)
{
    struct regex_room *room = room_of_thread();
    if (!room->groups)
        room->groups = pcre2_match_data_create(REGEX_GROUPS_MAX + 1, NULL);
    CHECK(room->groups);
    int rc =
        pcre2_match(regex, (PCRE2_SPTR)(s.n ? s.p : ""), s.n, 0, 0, room->groups, room->context);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
        return too_many_steps(text);
    *ret_n = rc > 0 ? (uint32_t)rc : 0;
    *ret_pair = pcre2_get_ovector_pointer(room->groups);
    return OK;
}

enum err regex_match(const struct predicate *p, struct str s, bool *ret)
{
    struct regex_room *room = room_of_thread();
    int rc =
        pcre2_match(p->regex, (PCRE2_SPTR)(s.n ? s.p : ""), s.n, 0, 0, room->data, room->context);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
        return too_many_steps(p->text);
    *ret = rc >= 0;
    return OK;
}

bool regex_span(const struct predicate *p, struct str s, size_t at, size_t *ret_from,
                size_t *ret_to)
{
    struct regex_room *room = room_of_thread();
    int rc =
        pcre2_match(p->regex, (PCRE2_SPTR)(s.n ? s.p : ""), s.n, at, 0, room->data, room->context);
    if (rc < 0)
        return false;
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(room->data);
    *ret_from = place[0] < place[1] ? place[0] : place[1]; /* \K may turn them around */
    *ret_to = place[0] < place[1] ? place[1] : place[0];
    return *ret_from >= at;
}

static enum err match_value(const struct predicate *p, const struct values *v, uint32_t i,
                            uint64_t *bits)
{
    bool is;
    TRY(regex_match(p, values_text(v, i), &is));
    if (is)
        bitmap_set(bits, i);
    return OK;
}

enum err regex_match_all(const struct predicate *p, const struct values *v, uint64_t *bits)
{
    if (!p->has_needle) {
        for (uint32_t i = 0; i < v->n; i++)
            TRY(match_value(p, v, i, bits));
        return OK;
    }
    if (v->n == 0)
        return OK;
    struct str bytes = {v->bytes + v->off[0], v->off[v->n] - v->off[0]};
    uint32_t row = 0;
    size_t at = needle_next(&p->needle, bytes, 0);
    while (at != SIZE_MAX) {
        while (v->off[row + 1] - v->off[0] <= at)
            row++;
        size_t end = v->off[row + 1] - v->off[0];
        if (at + p->needle.text.n > end) { /* across a border */
            at = needle_next(&p->needle, bytes, at + 1);
            continue;
        }
        TRY(match_value(p, v, row, bits));
        at = needle_next(&p->needle, bytes, end);
    }
    return OK;
}

/* The run of plain characters being read, and the longest so far. */
struct runs {
    struct buf run, best;
    size_t last; /* where the run's last character starts */
};

static void end_run(struct runs *r)
{
    if (r->run.n > r->best.n) {
        buf_clear(&r->best);
        buf_put_str(&r->best, buf_str(&r->run));
    }
    buf_clear(&r->run);
    r->last = 0;
}

/* A character class from its '[' on: one past its ']'. */
static size_t pass_class(struct str s, size_t at)
{
    at++;
    if (at < s.n && s.p[at] == '^')
        at++;
    if (at < s.n && s.p[at] == ']')
        at++;
    for (; at < s.n && s.p[at] != ']'; at++) {
        if (s.p[at] == '\\')
            at++;
        else if (s.p[at] == '[' && at + 1 < s.n && strchr(":.=", s.p[at + 1]))
            return SIZE_MAX;
    }
    return at < s.n ? at + 1 : SIZE_MAX;
}

/* A group from its '(' on: one past its ')', or SIZE_MAX where it may hold flags or comments. */
static size_t pass_group(struct str s, size_t at)
{
    size_t depth = 0;
    while (at < s.n) {
        char c = s.p[at];
        char next = at + 1 < s.n ? s.p[at + 1] : 0;
        char third = at + 2 < s.n ? s.p[at + 2] : 0;
        if (c == '(' && (next == '*' || (next == '?' && !strchr(":=!<P>|", third))))
            return SIZE_MAX;
        if (c == '\\' && (next == 'Q' || next == 'c'))
            return SIZE_MAX;
        if (c == '[') {
            at = pass_class(s, at);
            if (at == SIZE_MAX)
                return SIZE_MAX;
            continue;
        }
        depth += c == '(';
        if (c == ')' && --depth == 0)
            return at + 1;
        at += c == '\\' ? 2 : 1;
    }
    return SIZE_MAX;
}

/* "{2}", "{2,}", "{,3}": one past it; `at` itself where it is no quantifier. */
static size_t pass_count(struct str s, size_t at)
{
    size_t i = at + 1;
    while (i < s.n && strchr("0123456789, ", s.p[i]))
        i++;
    return i < s.n && s.p[i] == '}' && i > at + 1 ? i + 1 : at;
}

/* A quantifier that allows none takes the last character back. */
static void drop_last(struct runs *r)
{
    r->run.n = r->last;
    end_run(r);
}

static void add_plain(struct runs *r, struct str s, size_t *at)
{
    size_t n = 1;
    while (*at + n < s.n && ((uint8_t)s.p[*at + n] & 0xc0) == 0x80)
        n++;
    r->last = r->run.n;
    buf_put(&r->run, s.p + *at, n);
    *at += n;
}

/* Reads on at `at`; false where no literal may be given at all. */
static bool step(struct runs *r, struct str s, size_t *at)
{
    char c = s.p[*at], next = *at + 1 < s.n ? s.p[*at + 1] : 0;
    switch (c) {
    case '|':
        return false;
    case '(':
    case '[':
        end_run(r);
        *at = c == '(' ? pass_group(s, *at) : pass_class(s, *at);
        return *at != SIZE_MAX;
    case '\\':
        if (next == 0 || !strchr("dDwWsSbBAzZhHvVRnrtfe", next)) {
            bool plain = next > 0 && !((next >= '0' && next <= '9') ||
                                       ((next | 0x20) >= 'a' && (next | 0x20) <= 'z'));
            if (!plain)
                return false;
            ++*at;
            add_plain(r, s, at);
            return true;
        }
        end_run(r);
        *at += 2;
        return true;
    case '*':
    case '?':
        drop_last(r);
        ++*at;
        return true;
    case '{': {
        size_t behind = pass_count(s, *at);
        drop_last(r);
        *at = behind > *at ? behind : *at + 1;
        return true;
    }
    case '+':
    case '.':
    case '^':
    case '$':
        end_run(r);
        ++*at;
        return true;
    default:
        add_plain(r, s, at);
        return true;
    }
}

struct str regex_literal(struct arena *a, struct str pattern)
{
    struct runs r = {0};
    buf_init(&r.run, SIZE_MAX);
    buf_init(&r.best, SIZE_MAX);
    bool some = true;
    for (size_t at = 0; some && at < pattern.n;)
        some = step(&r, pattern, &at);
    end_run(&r);
    struct str literal = some && r.best.n ? arena_str(a, buf_str(&r.best)) : (struct str){0};
    buf_release(&r.run);
    buf_release(&r.best);
    return literal;
}
