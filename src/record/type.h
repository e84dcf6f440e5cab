/* The vocabulary of records: lanes (types of leaves), paths, shapes.
 *
 * A record is a JSON object. Each leaf is one value of one *column*; a column is (path, occurrence,
 * lane).
 * - path: the keys from the root to the leaf, joined by PATH_SEP; a key's own bytes PATH_SEP and
 *   PATH_ESC are written PATH_ESC 'S' and PATH_ESC 'E', an empty key PATH_ESC 'N'. `{"a.b":1}` and
 *   `{"a":{"b":1}}` differ here and are both shown and asked for as `a.b` (the *name*: the path
 *   with PATH_SEP as '.', escapes undone).
 * - occurrence: the smallest number that makes the column new within its record, 0 but for repeated
 *   keys.
 * - lane: below. Two lanes under one name are never a conflict.
 * The *shape* of a record is the sequence of its leaves (column numbers) with SHAPE_OPEN and
 * SHAPE_CLOSE around each non-empty nested object: key order and nesting come back exactly. The key
 * of a SHAPE_OPEN is the segment at that depth in the path of the next leaf behind it. The root's
 * braces are not written.
 * Threads: constants and pure functions. */
#ifndef WEIR_RECORD_TYPE_H
#define WEIR_RECORD_TYPE_H

#include "core/buf.h"

/* On disk and on the wire: never renumber. */
enum lane {
    LANE_STR = 0,  /* bytes: a JSON string, unescaped */
    LANE_INT = 1,  /* an int64 whose text is its shortest decimal form */
    LANE_DEC = 2,  /* mantissa and scale (1..18 digits behind the point): "1.50" is 150, 2 */
    LANE_DBL = 3,  /* a double whose shortest text (std::to_chars) is the source's */
    LANE_NUM = 4,  /* any other JSON number, as its text */
    LANE_BOOL = 5, /* 0 or 1 */
    LANE_NULL = 6, /* no value: presence is all */
    LANE_OBJ = 7,  /* {}: no value */
    LANE_ARR = 8,  /* an array, as its JSON text */
    LANE_JSON = 9, /* an object kept as JSON text: past the limits of shapes or paths;
                      with an empty path the whole record */
    LANE_COUNT = 10
};

static inline bool lane_is_text(enum lane l) /* values are bytes */
{
    return l == LANE_STR || l == LANE_NUM || l == LANE_ARR || l == LANE_JSON;
}
static inline bool lane_is_empty(enum lane l) /* no bytes at all */
{
    return l == LANE_NULL || l == LANE_OBJ;
}
static inline bool lane_is_number(enum lane l)
{
    return l == LANE_INT || l == LANE_DEC || l == LANE_DBL || l == LANE_NUM;
}
const char *lane_name(enum lane l);

#define PATH_SEP '\x1f'
#define PATH_ESC '\x1e'

#define SHAPE_OPEN 0xfffffffeU
#define SHAPE_CLOSE 0xffffffffU

/* Limits of one batch, frame or block. */
#define SHAPES_MAX 4096
#define PATHS_MAX 10000             /* columns */
#define PATH_BYTES_MAX (4u << 20)   /* of the paths of all columns together */
#define SHAPE_TOKENS_MAX (1u << 16) /* of one shape */
#define TOKENS_MAX (1u << 20)       /* of all shapes together */
#define NESTING_MAX 1024

struct shape {
    const uint32_t *token; /* column numbers, SHAPE_OPEN, SHAPE_CLOSE */
    uint32_t n;
};

/* Appends a key to a path: the separator where the path is not empty, then the escaped key. */
void path_push(struct buf *path, struct str key);
/* Segment i of a path, still escaped; empty where it has no such segment. */
struct str path_segment(struct str path, unsigned i);
/* Appends the key that a segment stands for. */
void path_key(struct str segment, struct buf *out);
/* Whether the bytes are a path of one segment or more. */
bool path_valid(struct str path);
/* Whether the dotted name of the path is `name`. */
bool path_has_name(struct str path, struct str name);
/* Appends the dotted name of a path. */
void path_name(struct str path, struct buf *ret_name);
/* hash64 of the dotted name, without building it where it needs no escape. */
uint64_t path_name_hash(struct str path);

#endif
