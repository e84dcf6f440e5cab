/* What the subcommands of weir aurora share; for nobody else. */
#ifndef WEIR_CMD_AURORA_H
#define WEIR_CMD_AURORA_H

#include "cmd/options.h"
#include "transform/mysql_log.h"

/* weir aurora VERB: a file aurora_VERB.c each, with a row in aurora.c. argv[0] is the verb. */
#define AURORA_VERB(name)                                                                          \
    extern const struct command aurora_##name##_command; /* .name: "aurora NAME" */                \
    int aurora_##name(int argc, char **argv)
AURORA_VERB(run);
AURORA_VERB(discover);
AURORA_VERB(process);
AURORA_VERB(init);
AURORA_VERB(status);
AURORA_VERB(lag);
AURORA_VERB(monitor);
AURORA_VERB(files);
AURORA_VERB(checkpoint);
AURORA_VERB(dlq);
AURORA_VERB(breaker);
AURORA_VERB(offsets);
AURORA_VERB(stop);
AURORA_VERB(resume);
AURORA_VERB(check);
AURORA_VERB(parse);
AURORA_VERB(top);
AURORA_VERB(cost);

/* ---- aurora_files.c: log files to records ---- */

#define AURORA_LOG_OPTIONS                                                                         \
    {"kind", 'k', "KIND", "What the files are (auto: by their first lines).",                      \
     .choices = "slow|error|general|audit|auto"},                                                  \
        {"time-zone", 'z', "ZONE",                                                                 \
         "Of times that name none: the server's time_zone, such as +02:00 or Europe/Berlin "       \
         "(UTC)."},                                                                                \
        {"instance", 'i', "NAME", "A field `instance` of every record."},                          \
    {                                                                                              \
        "text-max", 0, "BYTES", "The most of a statement or message that is kept (1MiB)."          \
    }

/* The options above. False: explained on stderr. */
bool aurora_log_options(const struct options *o, struct mysql_log_options *ret);

struct aurora_sink {
    void *ctx;
    /* Takes what is in the batch, which is cleared then. What it answers but OK ends the file;
     * ERR_EOF: nothing more is wanted, no error. */
    enum err (*batch)(void *ctx, struct batch *b);
};
/* Reads a file ("-": standard input; compressed ones are undone) to its end. *ret: what was met. */
NODISCARD enum err aurora_read_file(const char *path, const struct mysql_log_options *o,
                                    const struct aurora_sink *sink, struct mysql_log_counts *ret);

#endif
