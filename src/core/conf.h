/* Configuration: one flat table of settings with dotted names, filled from defaults, then a YAML
 * file, then the environment (queue.fsync_ms -> WEIR_QUEUE_FSYNC_MS), then the command line. An
 * unknown name, a wrong type or a value out of bounds is an error with file, line and column, and a
 * suggestion. Built once at start by one thread, read by any. */
#ifndef WEIR_CORE_CONF_H
#define WEIR_CORE_CONF_H

#include "core/buf.h"
#include "core/err.h"

/* CONF_TREE: more than a value, only in a file, and read from there by others (core/tree.h). */
enum conf_type {
    CONF_STRING,
    CONF_INT,
    CONF_BOOL,
    CONF_BYTES,
    CONF_DURATION,
    CONF_LIST,
    CONF_TREE
};

struct conf_setting {
    const char *name; /* "store.retention" */
    enum conf_type type;
    const char *value;   /* the default, as text; NULL: unset */
    int64_t min, max;    /* for INT, BYTES and DURATION (ns); both 0: any from 0 on */
    const char *help;    /* one line */
    bool secret;         /* shown as *** */
    const char *choices; /* for STRING: "none|lz4"; NULL: any */
};

struct conf;
/* The table every part's settings stand in: src/core/conf_table.c. Ends with a name of NULL. The
 * settings of one section stand together. */
extern const struct conf_setting conf_table[];

struct conf *conf_new(void); /* the defaults of conf_table */
struct conf *conf_new_of(const struct conf_setting *table);
const struct conf_setting *conf_settings(const struct conf *c);
void conf_free(struct conf *c);
/* On failure what stood before the error has been taken over: give the conf up. */
NODISCARD enum err conf_load_file(struct conf *c, const char *path);
NODISCARD enum err conf_load_yaml(struct conf *c, struct str text, const char *name);
/* Empty variables count as unset. Besides the table's names: WEIR_ROOT_USER and WEIR_ROOT_PASSWORD.
 * Unknown WEIR_ variables are left alone (Kubernetes makes some of its own); one that looks like a
 * slip is warned of. */
NODISCARD enum err conf_load_env(struct conf *c);
/* source: for the error text, such as "--listen". The items of a list are parted by commas. */
NODISCARD enum err conf_set(struct conf *c, const char *name, struct str value, const char *source);
NODISCARD enum err conf_set_list(struct conf *c, const char *name, const struct str *items,
                                 size_t count, const char *source);
/* Where a value came from: "default", or its source. */
const char *conf_source(const struct conf *c, const char *name);
/* The value as it was written, of any type but a list; NULL: unset. */
const char *conf_text(const struct conf *c, const char *name);
/* The name must be in the table. A string may be NULL. */
const char *conf_string(const struct conf *c, const char *name);
int64_t conf_int(const struct conf *c, const char *name);
bool conf_bool(const struct conf *c, const char *name);
uint64_t conf_bytes(const struct conf *c, const char *name);
int64_t conf_duration_ns(const struct conf *c, const char *name);
/* Lists: item i, or NULL past the end. */
const char *conf_list_item(const struct conf *c, const char *name, size_t i);
/* YAML of the defaults with their help as comments, or of what is in force with where each came
 * from. */
void conf_write_default(struct buf *out);
void conf_write(const struct conf *c, struct buf *out);

#endif
