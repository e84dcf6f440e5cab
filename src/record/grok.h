/* Grok: regular expressions with names for their usual parts. %{NAME} stands for a pattern of the
 * library, %{NAME:field} also takes what it matched as that field, %{NAME:field:int} as a number
 * (int, long, float, double, bool; string says nothing). A field may be dotted or written
 * [a][b]. The names are those that Logstash, Elasticsearch, Fluent Bit and Vector share; the
 * patterns behind them are Weir's own (grok_patterns.c, grok_products.c, grok_firewalls.c,
 * grok_operations.c), and so they may differ in the odd text that hardly anybody writes.
 *
 * Threads: pure functions over an arena. Bounds: GROK_DEPTH_MAX levels of patterns in patterns,
 * GROK_TEXT_MAX bytes of the whole. */
#ifndef WEIR_RECORD_GROK_H
#define WEIR_RECORD_GROK_H

#include "core/arena.h"

enum { GROK_DEPTH_MAX = 16, GROK_TEXT_MAX = 64 << 10, GROK_FIELDS_MAX = 64 };

struct grok_pattern {
    const char *name, *text;
};
/* The library, each list ended by name NULL: usual parts, and the lines of well-known programs. */
extern const struct grok_pattern grok_patterns[], grok_products[], grok_firewalls[],
    grok_operations[];
extern const struct grok_pattern *const grok_library[]; /* all of them, ended by NULL */

enum grok_type { GROK_TEXT, GROK_INT, GROK_FLOAT, GROK_BOOL };
/* A part that is to be taken: the group of the expanded expression that holds it is called
 * GROK_GROUP and its number in the list, in decimal. */
#define GROK_GROUP "grok_"
struct grok_field {
    struct str name;
    enum grok_type type;
};

struct grok {
    struct str regex;
    const struct grok_field *field;
    uint32_t n_fields;
    /* Where a byte of the regex comes from in the text given. */
    const struct grok_place *place;
    uint32_t n_places;
};
struct grok_place {
    uint32_t regex, text, n;
};

/* `own` (may be NULL, ended by name NULL) goes before the library. ERR_INVALID with a text that
 * names the pattern and, where one is near, what may have been meant; *ret_at (may be NULL): the
 * byte of the text. */
NODISCARD enum err grok_expand(struct str text, const struct grok_pattern *own, struct arena *a,
                               struct grok *ret, size_t *ret_at);
/* The byte of the text behind a byte of the regex. */
size_t grok_place_of(const struct grok *g, size_t regex_at);

#endif
