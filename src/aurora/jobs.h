/* The embedded queue between discoverer and workers: files with something to read, one a worker at
 * a time for each strand. Instances take turns, a visit each, so that none waits behind one that
 * has much; of an instance what came first is read first. It is memory alone; what it must not
 * forget stands in the state (files that are `discovered` or `processing`), from which it is filled
 * again. A message for a file that waits already replaces it. Threads: any. Bounds: JOBS_MAX. */
#ifndef WEIR_AURORA_JOBS_H
#define WEIR_AURORA_JOBS_H

#include "aurora/logfile.h"

enum { JOBS_MAX = 200000 };
struct jobs;
/* What a message's giver wants back when the file it is about has been read. */
struct job_token {
    struct job_token *next;
};
struct job {
    struct arena arena; /* of the message */
    struct logfile_message m;
    struct job_token *token; /* of all messages that were merged */
    unsigned tries;
    int64_t since_ms;           /* when the version that has waited longest was written to */
    int64_t due_ns;             /* monotonic */
    struct job *next, *in_slot; /* of its instance; by its name */
};
struct jobs *jobs_new(void);
/* give_back (may be NULL) gets the tokens of what waits still. NULL is fine. */
void jobs_free(struct jobs *j, void (*give_back)(void *ctx, struct job_token *token), void *ctx);
/* token: may be NULL. ERR_LIMIT past JOBS_MAX. */
NODISCARD enum err jobs_put(struct jobs *j, const struct logfile_message *m,
                            struct job_token *token);
/* The next that is due and whose strand nobody works at; NULL after wait_ms. The caller ends it by
 * jobs_done or jobs_again. */
struct job *jobs_take(struct jobs *j, int64_t wait_ms);
/* The list of its tokens. */
struct job_token *jobs_done(struct jobs *j, struct job *job);
/* It comes again after wait_ns. */
void jobs_again(struct jobs *j, struct job *job, int64_t wait_ns);
size_t jobs_waiting(struct jobs *j);
/* When what has waited longest was written to, of files that wait and of those that are read; 0:
 * there are none. */
int64_t jobs_oldest_ms(struct jobs *j);
/* From now on jobs_take does not wait. */
void jobs_end(struct jobs *j);

#endif
