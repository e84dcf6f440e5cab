/* The way into an agent: the ground (ingest.h) of bodies that go to a spool. It keeps the books of
 * every source (what was accepted, refused, and dropped by transforms), and knows the keys and
 * sequences that landed last, so that what a sender sends again after a crash lands once.
 *
 * Both stand in notes of the spool, beside the records they are about, and now and then in the file
 * DIR/intake: after any end file and notes together say exactly what the spool has taken.
 * Threads: any. Bounds: INTAKE_SOURCES_MAX sources; the last INTAKE_KEYS keys or so. */
#ifndef WEIR_PIPELINE_INTAKE_H
#define WEIR_PIPELINE_INTAKE_H

#include "pipeline/ingest.h"
#include "pipeline/spool.h"

enum { INTAKE_SOURCES_MAX = 256, INTAKE_KEYS = 4096 };

struct intake;
struct intake_source {
    char name[160];
    uint64_t accepted, refused, dropped; /* records, since the folder was made */
};
/* Reads DIR/intake and holds the spool; between spool_open and spool_start. */
NODISCARD enum err intake_open(const char *dir, struct spool *spool, struct intake **ret);
/* For spool_options.books. */
void intake_note(struct intake *t, struct str note, uint64_t behind);
struct ingest_ground intake_ground(struct intake *t);
/* Writes the file, at most once in a few seconds unless `now`; what it says is let go of in the
 * spool. From one thread. */
void intake_save(struct intake *t, bool now);
/* The source's counts; false past the last. */
bool intake_source(struct intake *t, unsigned i, struct intake_source *ret);
void intake_free(struct intake *t); /* NULL is fine */

/* For who only reads a folder: adds what the file says, or a note at or behind `position`. */
struct intake_books {
    uint64_t epoch, position; /* notes below it are in */
    struct intake_source source[INTAKE_SOURCES_MAX];
    unsigned n;
};
NODISCARD enum err intake_books_load(struct intake_books *b, const char *dir);
void intake_books_note(struct intake_books *b, struct str note, uint64_t behind);

#endif
