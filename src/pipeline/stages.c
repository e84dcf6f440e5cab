#include "pipeline/stages.h"

#include "core/mem.h"
#include "core/thread.h"

struct stages {
    const struct tree *list;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct chain *chain[STAGES_CHAINS_MAX]; /* all there are */
    bool taken[STAGES_CHAINS_MAX];
    unsigned n, max, holders;
};

static bool remembers(const struct chain *c)
{
    static const char *const names[] = {"dedup", "throttle", NULL};
    for (uint32_t i = 0; i < chain_stages(c); i++) {
        struct chain_stage s;
        chain_stage(c, i, &s);
        for (int k = 0; names[k]; k++)
            if (!strcmp(s.name, names[k]))
                return true;
    }
    return false;
}

enum err stages_new(const struct tree *list, struct stages **ret)
{
    struct chain *first;
    TRY(chain_new(list, &first));
    struct stages *s = NEW(struct stages);
    s->list = list;
    s->chain[s->n++] = first;
    s->max = remembers(first) ? 1 : STAGES_CHAINS_MAX;
    pthread_mutex_init(&s->lock, NULL);
    cond_init(&s->changed);
    *ret = s;
    return OK;
}

void stages_free(struct stages *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    while (s->holders)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->n; i++)
        chain_free(s->chain[i]);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

struct stages *stages_hold(struct stages *s)
{
    if (!s)
        return NULL;
    pthread_mutex_lock(&s->lock);
    s->holders++;
    pthread_mutex_unlock(&s->lock);
    return s;
}

void stages_release(struct stages *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->holders--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* With the lock: a free one, or one more. */
static struct chain *find_free(struct stages *s)
{
    for (unsigned i = 0; i < s->n; i++)
        if (!s->taken[i]) {
            s->taken[i] = true;
            return s->chain[i];
        }
    struct chain *more;
    if (s->n == s->max || chain_new(s->list, &more) != OK)
        return NULL;
    s->taken[s->n] = true;
    s->chain[s->n++] = more;
    return more;
}

struct chain *stages_take(struct stages *s)
{
    struct chain *c;
    pthread_mutex_lock(&s->lock);
    while (!(c = find_free(s)))
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    return c;
}

void stages_give(struct stages *s, struct chain *c)
{
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n; i++)
        if (s->chain[i] == c)
            s->taken[i] = false;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

uint32_t stages_count(const struct stages *s)
{
    return s ? chain_stages(s->chain[0]) : 0;
}

void stages_stage(struct stages *s, uint32_t stage, struct chain_stage *ret)
{
    pthread_mutex_lock(&s->lock);
    *ret = (struct chain_stage){0};
    for (unsigned i = 0; i < s->n; i++) {
        struct chain_stage one;
        chain_stage(s->chain[i], stage, &one);
        ret->name = one.name;
        ret->in += one.in;
        ret->out += one.out;
        ret->dropped += one.dropped;
        ret->missed += one.missed;
    }
    pthread_mutex_unlock(&s->lock);
}
