/* Walking JSON text that is a stored value: arrays (LANE_ARR) and objects kept as text (LANE_JSON).
 * Lenient where it costs nothing, for a decoder has judged the text before; what is not JSON ends
 * the walk. Threads: pure functions. */
#ifndef WEIR_RECORD_JSON_WALK_H
#define WEIR_RECORD_JSON_WALK_H

#include "core/arena.h"
#include "record/type.h"

struct json_walk {
    const char *p, *end;
    char close; /* of the container: ']' or '}' */
};
/* A value met: for LANE_STR the bytes between the quotes, escapes still in; LANE_NUM, LANE_BOOL and
 * LANE_NULL the text; LANE_ARR and LANE_JSON (an object with members) the whole text. */
struct json_item {
    struct str key; /* of a member, escapes still in */
    struct str text;
    enum lane lane;
};

/* Begins an array or object; false where the text is neither. */
bool json_walk_begin(struct json_walk *w, struct str text);
/* The next element or member; false at the end and where the text is broken. */
bool json_walk_next(struct json_walk *w, struct json_item *ret);
/* Whether a string's inside holds an escape; without one it is its own value. */
bool json_walk_escaped(struct str inside);
/* Appends the value of a string's inside: json_unescape, or the bytes where that finds none. */
void json_walk_unescape(struct str inside, struct buf *out);
/* The same: the inside itself where nothing is escaped, else made in the arena. */
struct str json_walk_text(struct str inside, struct arena *a);

#endif
