#include "aurora/jobs.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"
#include "core/thread.h"

enum { BUSY_MAX = 1024, SLOTS = 8192 };

/* What waits of an instance; there is none without a job. */
struct turn {
    struct turn *next, *in_slot;
    uint64_t instance; /* its hash */
    struct job *first, **last;
};
struct jobs {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct turn *first, **last; /* whose turn is next, and so on */
    struct turn *turn[SLOTS];   /* the same by the instance's hash */
    struct job *slot[SLOTS];    /* those that wait, by the file's name */
    size_t n;
    const struct job *busy[BUSY_MAX]; /* out with a worker */
    unsigned n_busy;
    bool ended;
};

struct jobs *jobs_new(void)
{
    struct jobs *j = NEW(struct jobs);
    pthread_mutex_init(&j->lock, NULL);
    cond_init(&j->changed);
    j->last = &j->first;
    return j;
}

static void job_free(struct job *job)
{
    arena_release(&job->arena);
    mem_free(job);
}

static void copy(const struct logfile_message *m, struct job *job)
{
    arena_reset(&job->arena);
    job->m = *m;
    job->m.instance_id = arena_str(&job->arena, m->instance_id);
    job->m.log_file_name = arena_str(&job->arena, m->log_file_name);
    job->m.log_type = arena_str(&job->arena, m->log_type);
}

/* Where the job of that file is, or would be. */
static struct job **place_of(struct jobs *j, const struct logfile_message *m)
{
    uint64_t hash = hash64_seed(m->log_file_name, hash64(m->instance_id));
    struct job **at = &j->slot[hash % SLOTS];
    while (*at && !(str_eq((*at)->m.instance_id, m->instance_id) &&
                    str_eq((*at)->m.log_file_name, m->log_file_name)))
        at = &(*at)->in_slot;
    return at;
}

static struct turn **turn_at(struct jobs *j, uint64_t instance)
{
    struct turn **at = &j->turn[instance % SLOTS];
    while (*at && (*at)->instance != instance)
        at = &(*at)->in_slot;
    return at;
}

static void append_turn(struct jobs *j, struct turn *turn)
{
    turn->next = NULL;
    *j->last = turn;
    j->last = &turn->next;
}

static struct turn *turn_of(struct jobs *j, uint64_t instance)
{
    struct turn **at = turn_at(j, instance), *turn = *at;
    if (turn)
        return turn;
    turn = *at = NEW(struct turn);
    turn->instance = instance;
    turn->last = &turn->first;
    append_turn(j, turn);
    return turn;
}

static void append(struct jobs *j, struct job *job)
{
    struct job **slot = place_of(j, &job->m); /* before one that came meanwhile */
    struct turn *turn = turn_of(j, hash64(job->m.instance_id));
    job->in_slot = *slot;
    *slot = job;
    job->next = NULL;
    *turn->last = job;
    turn->last = &job->next;
    j->n++;
    pthread_cond_signal(&j->changed);
}

enum err jobs_put(struct jobs *j, const struct logfile_message *m, struct job_token *token)
{
    enum err err = OK;
    pthread_mutex_lock(&j->lock);
    struct job *job = *place_of(j, m);
    if (job) {
        copy(m, job); /* what is new since the earlier message waits as long as before */
    } else if (j->n >= JOBS_MAX) {
        err = err_set(ERR_LIMIT, "more than %d log files wait to be read", JOBS_MAX);
    } else {
        job = NEW(struct job);
        arena_init(&job->arena, 0, NULL);
        copy(m, job);
        job->since_ms = m->last_written_ms;
        append(j, job);
    }
    if (job && err == OK && token) {
        token->next = job->token;
        job->token = token;
    }
    pthread_mutex_unlock(&j->lock);
    return err;
}

static bool is_busy(const struct jobs *j, const struct job *job)
{
    for (unsigned i = 0; i < j->n_busy; i++)
        if (str_eq(j->busy[i]->m.instance_id, job->m.instance_id) &&
            str_eq(logfile_base(j->busy[i]->m.log_file_name), logfile_base(job->m.log_file_name)))
            return true;
    return false;
}

/* Takes the job out; its instance goes to the end. */
static void take(struct jobs *j, struct turn **at_turn, struct job **at)
{
    struct turn *turn = *at_turn;
    struct job *job = *at, **slot = place_of(j, &job->m);
    while (*slot != job)
        slot = &(*slot)->in_slot;
    *slot = job->in_slot;
    *at = job->next;
    if (turn->last == &job->next)
        turn->last = at;
    j->n--;
    *at_turn = turn->next;
    if (j->last == &turn->next)
        j->last = at_turn;
    if (turn->first) {
        append_turn(j, turn);
        return;
    }
    *turn_at(j, turn->instance) = turn->in_slot;
    mem_free(turn);
}

/* The first of the turn that may go; *io_due: when to look again at the latest. */
static struct job **pick_of(struct jobs *j, struct turn *turn, int64_t now, int64_t *io_due)
{
    for (struct job **at = &turn->first, *job; (job = *at); at = &job->next) {
        if (job->due_ns > now) {
            if (job->due_ns < *io_due)
                *io_due = job->due_ns;
            continue;
        }
        if (!is_busy(j, job))
            return at;
    }
    return NULL;
}

static struct job *pick(struct jobs *j, int64_t now, int64_t *io_due)
{
    if (j->n_busy == BUSY_MAX)
        return NULL;
    for (struct turn **next = &j->first; *next; next = &(*next)->next) {
        struct job **at = pick_of(j, *next, now, io_due), *job = at ? *at : NULL;
        if (!job)
            continue;
        take(j, next, at);
        j->busy[j->n_busy++] = job;
        return job;
    }
    return NULL;
}

void jobs_free(struct jobs *j, void (*give_back)(void *ctx, struct job_token *token), void *ctx)
{
    if (!j)
        return;
    for (struct job *job; j->first && (job = j->first->first);) {
        for (struct job_token *t = job->token, *behind; t && give_back; t = behind) {
            behind = t->next;
            give_back(ctx, t);
        }
        take(j, &j->first, &j->first->first);
        job_free(job);
    }
    pthread_cond_destroy(&j->changed);
    pthread_mutex_destroy(&j->lock);
    mem_free(j);
}

struct job *jobs_take(struct jobs *j, int64_t wait_ms)
{
    int64_t until = clock_mono_ns() + wait_ms * NS_PER_MS;
    struct job *job;
    pthread_mutex_lock(&j->lock);
    for (;;) {
        int64_t now = clock_mono_ns(), due = until;
        job = pick(j, now, &due);
        if (job || now >= until || j->ended)
            break;
        (void)cond_wait_until(&j->changed, &j->lock, due);
    }
    pthread_mutex_unlock(&j->lock);
    return job;
}

static void end(struct jobs *j, const struct job *job)
{
    for (unsigned i = 0; i < j->n_busy; i++)
        if (j->busy[i] == job) {
            j->busy[i] = j->busy[--j->n_busy];
            break;
        }
    pthread_cond_signal(&j->changed);
}

struct job_token *jobs_done(struct jobs *j, struct job *job)
{
    struct job_token *token = job->token;
    pthread_mutex_lock(&j->lock);
    end(j, job);
    pthread_mutex_unlock(&j->lock);
    job_free(job);
    return token;
}

void jobs_again(struct jobs *j, struct job *job, int64_t wait_ns)
{
    pthread_mutex_lock(&j->lock);
    end(j, job);
    job->due_ns = clock_mono_ns() + wait_ns;
    append(j, job);
    pthread_mutex_unlock(&j->lock);
}

size_t jobs_waiting(struct jobs *j)
{
    pthread_mutex_lock(&j->lock);
    size_t n = j->n + j->n_busy;
    pthread_mutex_unlock(&j->lock);
    return n;
}

static int64_t older_ms(int64_t oldest, const struct job *job)
{
    return !oldest || job->since_ms < oldest ? job->since_ms : oldest;
}

int64_t jobs_oldest_ms(struct jobs *j)
{
    int64_t oldest = 0;
    pthread_mutex_lock(&j->lock);
    for (const struct turn *turn = j->first; turn; turn = turn->next)
        for (const struct job *job = turn->first; job; job = job->next)
            oldest = older_ms(oldest, job);
    for (unsigned i = 0; i < j->n_busy; i++)
        oldest = older_ms(oldest, j->busy[i]);
    pthread_mutex_unlock(&j->lock);
    return oldest;
}

void jobs_end(struct jobs *j)
{
    pthread_mutex_lock(&j->lock);
    j->ended = true;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
}
