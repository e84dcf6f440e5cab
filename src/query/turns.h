/* Turns of long searches. A thread that reads blocks for one takes a turn for some of them; there
 * are as many as cores, and they go round in the order of asking. So many long searches slow each
 * other down as one would expect, but not those that need a few milliseconds, which take none.
 *
 * Threads: any. Who has a turn waits for nothing that others hold, be it another turn or a client.
 */
#ifndef WEIR_QUERY_TURNS_H
#define WEIR_QUERY_TURNS_H

struct turns; /* of an engine */

struct turns *turns_new(unsigned n);
void turns_free(struct turns *t); /* nobody is in; NULL is fine */
void turns_take(struct turns *t); /* blocks */
void turns_give(struct turns *t);
unsigned turns_waiting(struct turns *t);

#endif
