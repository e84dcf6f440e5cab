/* Where a predicate matches within a text: what is shown in colour. */
#include "record/predicate_impl.h"
#include "record/words.h"

/* Folding keeps the length of nearly every text; where it does not, nothing is shown. */
static bool text_span(const struct predicate *p, struct str s, size_t at, size_t *ret_from,
                      size_t *ret_to)
{
    struct buf folded;
    bool is = false;
    buf_init(&folded, SIZE_MAX);
    words_fold(s, &folded);
    if (folded.n == s.n)
        is = text_find(p, buf_str(&folded), at, ret_from, ret_to);
    buf_release(&folded);
    return is;
}

bool predicate_span(const struct predicate *p, struct str s, size_t at, size_t *ret_from,
                    size_t *ret_to)
{
    if (at > s.n)
        return false;
    switch (p->kind) {
    case PRED_TEXT:
        return text_span(p, s, at, ret_from, ret_to);
    case PRED_EQUAL: {
        size_t hop = p->text.n ? str_find(str_from(s, at), p->text) : SIZE_MAX;
        if (hop == SIZE_MAX)
            return false;
        *ret_from = at + hop;
        *ret_to = at + hop + p->text.n;
        return true;
    }
    case PRED_REGEX:
        return regex_span(p, s, at, ret_from, ret_to);
    default:
        return false;
    }
}
