/* Regular expressions by PCRE2: compiled once, matched with memory that belongs to the thread; a
 * match that takes too many steps ends with ERR_LIMIT, so that no pattern holds a thread for long.
 *
 * Text may hold any bytes. Where it is UTF-8, as it nearly always is, the JIT matches it; else
 * PCRE2's interpreter with PCRE2_MATCH_INVALID_UTF does. The JIT cannot do both: in 10.42, compiled
 * with that option, it takes no character beyond ASCII for \W, \S and \D.
 *
 * Over a column, values that could match are found first: by a literal that every match holds, one
 * of a few (needle.h), else, or where that is in many values, by the automaton of the pattern
 * (regex_finder.h), and where most values are found, there is no use in it. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/mem.h"
#include "core/thread.h"
#include "record/bitmap.h"
#include "record/json_simd.h"
#include "record/predicate_impl.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#define MATCH_STEPS_MAX 1000000
#define MATCH_HEAP_KIB_MAX 8192
#define JIT_STACK_BYTES_MAX (512 << 10)

struct regex {
    pcre2_code *utf8; /* with the JIT, where there is one */
    pcre2_code *any;  /* for any bytes, without it */
};

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

static void regex_free(void *arg)
{
    struct regex *re = arg;
    pcre2_code_free(re->utf8);
    pcre2_code_free(re->any);
}

static pcre2_code *compile(struct str pattern, uint32_t options, int *ret_code, size_t *ret_at)
{
    return pcre2_compile((PCRE2_SPTR)(pattern.n ? pattern.p : ""), pattern.n,
                         PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DUPNAMES | options, ret_code,
                         ret_at, NULL);
}

enum err regex_compile_at(struct arena *a, struct str pattern, void **ret, size_t *ret_at)
{
    int code;
    struct regex *re = ARENA_NEW(a, struct regex);
    arena_defer(a, regex_free, re);
    re->utf8 = compile(pattern, 0, &code, ret_at);
    if (re->utf8)
        re->any = compile(pattern, PCRE2_MATCH_INVALID_UTF, &code, ret_at);
    if (!re->any) {
        PCRE2_UCHAR text[160];
        pcre2_get_error_message(code, text, sizeof(text));
        return err_set(ERR_INVALID, "regular expression: %s", (const char *)text);
    }
    (void)pcre2_jit_compile(re->utf8, PCRE2_JIT_COMPLETE); /* without it the interpreter matches */
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
    const struct regex *re = regex;
    uint32_t n = 0, size = 0, all = 0;
    PCRE2_SPTR table = NULL;
    (void)pcre2_pattern_info(re->utf8, PCRE2_INFO_CAPTURECOUNT, &all);
    (void)pcre2_pattern_info(re->utf8, PCRE2_INFO_NAMECOUNT, &n);
    (void)pcre2_pattern_info(re->utf8, PCRE2_INFO_NAMEENTRYSIZE, &size);
    (void)pcre2_pattern_info(re->utf8, PCRE2_INFO_NAMETABLE, &table);
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

/* PCRE2's answer from `at` on. pcre2_jit_match is pcre2_match without a look at its arguments. */
static int match(const struct regex *re, struct str s, size_t at, bool ascii,
                 pcre2_match_data *data, pcre2_match_context *context)
{
    PCRE2_SPTR text = (PCRE2_SPTR)(s.n ? s.p : "");
    bool inside = at < s.n && ((uint8_t)s.p[at] & 0xc0) == 0x80; /* of a character */
    if (!ascii && (inside || !json_simd_utf8(s.p, s.n)))
        return pcre2_match(re->any, text, s.n, at, 0, data, context);
    int rc = pcre2_jit_match(re->utf8, text, s.n, at, 0, data, context);
    if (rc == PCRE2_ERROR_JIT_BADOPTION) /* there is no JIT */
        rc = pcre2_match(re->utf8, text, s.n, at, PCRE2_NO_UTF_CHECK, data, context);
    return rc;
}

enum err regex_find(const void *regex, struct str text, struct str s, const size_t **ret_pair,
                    uint32_t *ret_n)
{
    struct regex_room *room = room_of_thread();
    if (!room->groups)
        room->groups = pcre2_match_data_create(REGEX_GROUPS_MAX + 1, NULL);
    CHECK(room->groups);
    int rc = match(regex, s, 0, !needle_wide(s), room->groups, room->context);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
        return too_many_steps(text);
    *ret_n = rc > 0 ? (uint32_t)rc : 0;
    *ret_pair = pcre2_get_ovector_pointer(room->groups);
    return OK;
}

static enum err match_one(const struct predicate *p, struct regex_room *room, struct str s,
                          bool ascii, bool *ret)
{
    int rc = match(p->regex, s, 0, ascii, room->data, room->context);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
        return too_many_steps(p->text);
    *ret = rc >= 0;
    return OK;
}

bool regex_span(const struct predicate *p, struct str s, size_t at, size_t *ret_from,
                size_t *ret_to)
{
    struct regex_room *room = room_of_thread();
    int rc = match(p->regex, s, at, !needle_wide(s), room->data, room->context);
    if (rc < 0)
        return false;
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(room->data);
    *ret_from = place[0] < place[1] ? place[0] : place[1]; /* \K may turn them around */
    *ret_to = place[0] < place[1] ? place[1] : place[0];
    return *ret_from >= at;
}

enum err regex_match(const struct predicate *p, struct str s, bool *ret)
{
    return match_one(p, room_of_thread(), s, !needle_wide(s), ret);
}

bool regex_is_anchored(const void *regex)
{
    uint32_t options = 0;
    (void)pcre2_pattern_info(((const struct regex *)regex)->utf8, PCRE2_INFO_ALLOPTIONS, &options);
    return options & PCRE2_ANCHORED;
}

/* ---- columns ---- */

#define LOOKS_MIN 256        /* before one judges how many values are found */
#define ROWS_FIRST 1024      /* after which one judges the finder */
#define ROWS_ONCE (16 << 10) /* judged by themselves: values that look alike stand together */

struct looking {
    const struct predicate *p;
    const struct values *v;
    uint64_t *bits;
    struct regex_room *room;
    bool ascii; /* all of the values */
    uint32_t n; /* looks at a value */
    enum err err;
};

/* PCRE2 on value i; false on an error. */
static bool look(void *ctx, uint32_t i)
{
    struct looking *l = ctx;
    bool is = false;
    l->n++;
    struct str s = values_text(l->v, i);
    l->err = match_one(l->p, l->room, s, l->ascii || !needle_wide(s), &is);
    if (l->err == OK && is)
        bitmap_set(l->bits, i);
    return l->err == OK;
}

/* Values of [row, end) that hold a literal, until these are more than a quarter: the one to go on
 * with. Where a literal stands across the border of two values, the first is looked at in vain. */
static uint32_t look_by_literal(struct looking *l, uint32_t row, uint32_t end)
{
    const struct predicate *p = l->p;
    const uint32_t *off = l->v->off;
    struct str bytes = {l->v->bytes + off[row], off[end] - off[row]};
    uint32_t from = row, base = off[row];
    size_t at = needle_first(p->needles, p->n_needles, bytes, 0);
    while (at != SIZE_MAX) {
        while (off[row + 1] - base <= at)
            row++;
        if (!look(l, row++))
            return row;
        if (l->n > LOOKS_MIN && l->n > (row - from) / 4)
            return row;
        at = needle_first(p->needles, p->n_needles, bytes, off[row] - base);
    }
    return end;
}

/* The same for the automaton, and half of the values. */
static uint32_t look_by_finder(struct looking *l, uint32_t row, uint32_t end)
{
    uint32_t first = end - row > ROWS_FIRST ? row + ROWS_FIRST : end;
    l->n = 0;
    regex_finder_run(l->p->finder, l->v, row, first, look, l);
    if (l->err != OK || (l->n > LOOKS_MIN && l->n > (first - row) / 2))
        return first;
    regex_finder_run(l->p->finder, l->v, first, end, look, l);
    return end;
}

static enum err look_in(struct looking *l, uint32_t row, uint32_t end)
{
    const struct predicate *p = l->p;
    const uint32_t *off = l->v->off;
    l->n = 0;
    l->ascii = !needle_wide(str_of(l->v->bytes + off[row], off[end] - off[row]));
    if (p->n_needles)
        row = look_by_literal(l, row, end);
    if (p->finder && l->err == OK && row < end)
        row = look_by_finder(l, row, end);
    while (l->err == OK && row < end)
        (void)look(l, row++);
    return l->err;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): written through `l` */
enum err regex_match_all(const struct predicate *p, const struct values *v, uint64_t *bits)
{
    struct looking l = {.p = p, .v = v, .bits = bits, .room = room_of_thread()};
    for (uint32_t row = 0, n; row < v->n; row += n) {
        n = v->n - row < ROWS_ONCE ? v->n - row : ROWS_ONCE;
        TRY(look_in(&l, row, row + n));
    }
    return OK;
}
