/* What weir check finds. Threads: main only. */
#ifndef WEIR_CMD_CHECK_H
#define WEIR_CMD_CHECK_H

#include <stdbool.h>

enum status { GOOD, WARNING, FAILED, SKIPPED };
struct finding {
    enum status status;
    char detail[600];
    char advice[400];
};
void found(struct finding *f, enum status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void advise(struct finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool can_write_to(const char *folder); /* or make it */

/* check_outputs.c: whether something answers where the output's URL leads. */
void check_output(const char *url, struct finding *f);
/* The same of a seam's, such as the queue's kafka://. */
void check_peer(const char *url, struct finding *f);
/* check_objects.c: whether a small object can be put, listed, read and removed. */
void check_objects(const char *url, const char *data, struct finding *f);
/* Whether a pattern of an agent's files finds any, and whether they can be read. */
void check_pattern(const char *pattern, struct finding *f);
/* What /healthz of a weir server says, at "http://HOST:PORT". */
bool is_weir_at(const char *url);

#endif
