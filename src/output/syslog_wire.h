/* Records as RFC 5424 messages: output/syslog.c says what becomes of which field.
 * Owner: the output; one thread. */
#ifndef WEIR_OUTPUT_SYSLOG_WIRE_H
#define WEIR_OUTPUT_SYSLOG_WIRE_H

#include "core/buf.h"
#include "pipeline/output.h"
#include "wire/syslog.h"

enum syslog_framing { SYSLOG_BARE, SYSLOG_COUNTED, SYSLOG_LINES };
struct syslog_format {
    int facility; /* of records that say none */
    enum syslog_framing framing;
    bool json;
    size_t max;       /* bytes of a message; 0: no bound */
    struct str sd_id; /* n == 0: no structured data; copied */
};

struct syslog_writer;
/* ERR_INVALID: an sd_id that is none. */
NODISCARD enum err syslog_writer_new(const struct syslog_format *f, struct syslog_writer **ret);
void syslog_writer_free(struct syslog_writer *w);  /* NULL is fine */
void syslog_writer_begin(struct syslog_writer *w); /* before each output_each_row */
/* Appends the message with its framing. */
NODISCARD enum err syslog_put_row(struct syslog_writer *w, const struct output_row *row,
                                  struct buf *out);

#endif
