/* What has landed behind a cursor, of all servers that share a catalog.
 *
 * Each server's rows have positions of its own (number << STORE_NODE_SHIFT and up), and enter
 * segments in their order; so "seen" is a position of each server. What is shown here is all of
 * this server's rows up to what was delivered last, and of each other's rows those below its
 * checkpoint, which is known with the manifest, of one instant. A *span* is what lies between: the
 * positions of a server behind the cursor and shown here. It does not matter where their rows are
 * by then: merges change no positions.
 *
 * WHERE THEY ARE. A cut's segment (level 0) holds one span of its server's positions, and nothing
 * else holds them before it is merged. So a merged segment needs to be looked into only where the
 * cuts' segments leave out positions of a span, and where its id is above all that there were when
 * the cursor was made: ids of a shared catalog are given out in order, and a merge takes its id
 * behind the publishes of what it merges.
 *
 * LIVES. A server whose queue is a topic gives positions anew, at a restart, to what it had not
 * published. So a position above what was published counts only for the life (one start of the
 * process) in which it was seen; in another one the cursor falls back to what was published.
 *
 * Threads: none of its own. */
#ifndef WEIR_STORE_LANDED_H
#define WEIR_STORE_LANDED_H

#include "core/buf.h"
#include "store/manifest.h"

struct catalog_state;

struct landed_seen {
    uint64_t node, after; /* seen up to and with `after` */
    /* Where some of that was not published yet, what is below `published` was, in that life. 0: it
     * was, or the server's positions stay over restarts. */
    uint64_t published, life;
};
struct landed_cursor {
    struct landed_seen *seen; /* ascending (node); of one that is not in it nothing was seen */
    size_t n, cap;
    uint64_t ids; /* segments above level 0 with ids up to that hold nothing else */
};
void landed_cursor_release(struct landed_cursor *c);
/* Of a server that is alone it is a number. */
void landed_cursor_write(const struct landed_cursor *c, struct buf *out);
bool landed_cursor_read(struct str s, struct landed_cursor *ret); /* false: it is none */
/* The server's entry, made where there is none. */
struct landed_seen *landed_cursor_at(struct landed_cursor *c, uint64_t node);

struct landed_span {
    uint64_t node, after, upto; /* (after, upto]; it may be empty */
    uint64_t published, life;   /* of what was seen once the span is, as in landed_seen */
    bool merged;                /* some of it is not in cuts' segments */
};
static inline bool landed_span_holds(const struct landed_span *s, uint64_t position)
{
    return position > s->after && position <= s->upto;
}
/* NULL: it is in none of them. */
const struct landed_span *landed_span_of(const struct landed_span *s, size_t n, uint64_t position);

/* Whether rows at positions min .. max may be of one. */
bool landed_meets(const struct landed_span *s, size_t n, uint64_t min, uint64_t max);

/* Where the others stood when the manifest was read; immutable. */
struct landed_others {
    _Atomic uint32_t refs;
    uint64_t ids; /* the largest of a segment */
    size_t n;
    struct landed_other {
        uint64_t node, checkpoint, life;
    } node[]; /* ascending */
};
struct landed_others *landed_others_of(const struct catalog_state *state, uint64_t own);
struct landed_others *landed_others_ref(struct landed_others *o); /* NULL is fine, as below */
void landed_others_unref(struct landed_others *o);

/* This server at that instant. */
struct landed_own {
    uint64_t node, checkpoint, delivered, life;
};
/* In the arena. `cursor` NULL: nothing was seen. */
struct landed_span *landed_spans(const struct landed_own *own, const struct landed_others *others,
                                 const struct landed_cursor *cursor, struct arena *a,
                                 size_t *ret_n);
/* Sets `merged` of each. */
void landed_find(struct landed_span *s, size_t n, const struct manifest *m);
/* Whether it may hold rows of the spans. ids: the cursor's. */
bool landed_in_segment(const struct landed_span *s, size_t n, uint64_t ids,
                       const struct manifest_segment *e);

#endif
