#include "aurora/progress.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static int64_t now_s(void)
{
    return clock_now_ns() / NS_PER_S;
}

/* ---- owners ---- */

void strand_owner_make(char out[200])
{
    char host[128] = "";
    if (gethostname(host, sizeof(host) - 1) != 0)
        snprintf(host, sizeof(host), "localhost");
    snprintf(out, 200, "%s/%ld/%llx", host, (long)getpid(), (unsigned long long)random_u64());
}

bool strand_owner_is_dead(struct str owner)
{
    char host[128] = "";
    struct str name, pid;
    int64_t number;
    if (!str_split(&owner, '/', &name) || !str_split(&owner, '/', &pid) ||
        !str_to_i64(pid, &number) || number <= 0 || gethostname(host, sizeof(host) - 1) != 0)
        return false;
    if (!str_eq_c(name, host))
        return false;
    /* Our own number of another run: process ids begin anew in a container. The rest of the name
     * tells us apart; the caller asks only about others. */
    return number == getpid() || (kill((pid_t)number, 0) != 0 && errno == ESRCH);
}

/* ---- strands ---- */

static struct state_key strand_key(const struct strand *l)
{
    return (struct state_key){str_c(l->id), STR("")};
}

static bool may_claim(const struct state_item *item, const struct strand *l)
{
    struct str owner = state_text(item, "owner");
    if (!owner.n || str_eq_c(owner, l->owner) || state_int(item, "lease_until") <= now_s())
        return true;
    /* Workers of one process differ in the last part of their names. */
    struct str mine = str_c(l->owner);
    size_t last = mine.n;
    while (last && mine.p[last - 1] != '/')
        last--;
    return !str_starts(owner, str_of(mine.p, last)) && strand_owner_is_dead(owner);
}

static void read_pending(const struct state_item *item, struct strand *l)
{
    struct str file = state_text(item, "unit_file");
    l->has_pending = file.n > 0 && file.n <= PROGRESS_NAME_MAX;
    if (!l->has_pending)
        return;
    snprintf(l->pending.file, sizeof(l->pending.file), "%.*s", STR_ARG(file));
    l->pending.from = (uint64_t)state_int(item, "unit_from");
    l->pending.to = (uint64_t)state_int(item, "unit_to");
    l->pending.sequence = state_int(item, "unit_sequence");
    l->pending.arrival_ns = state_int(item, "unit_arrival");
    l->pending.head_n = (uint32_t)state_int(item, "unit_head_bytes");
    l->pending.head_crc = (uint32_t)state_int(item, "unit_head_hash");
    /* Of an older unit where a build that does not know it has announced this one. */
    struct str was = state_text(item, "unit_was");
    if (!was.n || state_int(item, "unit_was_sequence") != l->pending.sequence)
        was = file;
    snprintf(l->pending.was, sizeof(l->pending.was), "%.*s", STR_ARG(was));
}

static void set_lease(struct state_item *set, struct strand *l)
{
    l->lease_until_s = now_s() + l->lease_s;
    state_set_text(set, "owner", str_c(l->owner));
    state_set_int(set, "fence", l->fence);
    state_set_int(set, "lease_until", l->lease_until_s);
    state_set_int(set, "updated_at", now_s());
    state_set_text(set, "status", STR("processing"));
}

static enum err make_strand(struct state *s, struct str instance, struct strand *l)
{
    const struct state_cond absent = {.op = STATE_NO_ITEM};
    struct state_item set = {0};
    l->fence = 1;
    l->epoch = random_u64() >> 1 | 1; /* positive, so that every database keeps it */
    l->next = 1;
    set_lease(&set, l);
    state_set_text(&set, "instance_id", instance);
    state_set_int(&set, "epoch", (int64_t)l->epoch);
    state_set_int(&set, "next_sequence", l->next);
    return state_note(s, STATE_JOBS, strand_key(l), &set, &absent, 1);
}

static enum err take_strand(struct state *s, const struct state_item *item, struct strand *l)
{
    const struct state_cond same = {
        .op = STATE_IS_INT, .name = "fence", .number = state_int(item, "fence")};
    struct state_item set = {0};
    if (!may_claim(item, l))
        return err_set(ERR_AGAIN, "%s is held by another process", l->id);
    l->fence = state_int(item, "fence") + 1;
    l->epoch = (uint64_t)state_int(item, "epoch");
    l->next = state_int(item, "next_sequence");
    read_pending(item, l);
    set_lease(&set, l);
    return state_note(s, STATE_JOBS, strand_key(l), &set, &same, 1);
}

enum err strand_claim(struct state *s, struct str instance, struct str file, const char *owner,
                      int64_t lease_s, struct strand *ret)
{
    struct arena a;
    struct str base = logfile_base(file);
    *ret = (struct strand){.lease_s = lease_s};
    snprintf(ret->id, sizeof(ret->id), "%.*s/%.*s", STR_ARG(instance), STR_ARG(base));
    snprintf(ret->owner, sizeof(ret->owner), "%s", owner);
    ret->producer = hash64_seed(str_c(ret->id), 0x617572) | 1;
    arena_init(&a, 0, NULL);
    struct state_item *item = ARENA_NEW(&a, struct state_item);
    enum err err = state_get(s, STATE_JOBS, strand_key(ret), &a, item);
    if (err == ERR_NOTFOUND)
        err = make_strand(s, instance, ret);
    else if (err == OK)
        err = take_strand(s, item, ret);
    if (err == ERR_CONFLICT)
        err = err_set(ERR_AGAIN, "%s was claimed by another process at this moment", ret->id);
    arena_release(&a);
    return err;
}

static enum err write_strand(struct state *s, const struct strand *l, const struct state_item *set,
                             bool durable)
{
    const struct state_cond ours = {.op = STATE_IS_INT, .name = "fence", .number = l->fence};
    return durable ? state_update(s, STATE_JOBS, strand_key(l), set, &ours, 1)
                   : state_note(s, STATE_JOBS, strand_key(l), set, &ours, 1);
}

enum err strand_announce(struct state *s, struct strand *l)
{
    struct state_item set = {0};
    l->pending.sequence = l->next;
    set_lease(&set, l);
    state_set_int(&set, "next_sequence", l->next + 1);
    state_set_text(&set, "unit_file", str_c(l->pending.file));
    state_set_int(&set, "unit_from", (int64_t)l->pending.from);
    state_set_int(&set, "unit_to", (int64_t)l->pending.to);
    state_set_int(&set, "unit_sequence", l->pending.sequence);
    state_set_int(&set, "unit_arrival", l->pending.arrival_ns);
    state_set_int(&set, "unit_head_bytes", l->pending.head_n);
    state_set_int(&set, "unit_head_hash", l->pending.head_crc);
    memcpy(l->pending.was, l->pending.file, sizeof(l->pending.was));
    TRY(write_strand(s, l, &set, true));
    l->next++;
    l->has_pending = true;
    return OK;
}

enum err strand_keep(struct state *s, struct strand *l)
{
    struct state_item set = {0};
    if (l->lease_until_s - now_s() > l->lease_s / 2)
        return OK;
    set_lease(&set, l);
    return write_strand(s, l, &set, false);
}

void strand_release(struct state *s, struct strand *l)
{
    struct state_item set = {0};
    set_lease(&set, l);
    state_set_text(&set, "owner", STR(""));
    state_set_int(&set, "lease_until", 0);
    state_set_text(&set, "status", STR("idle"));
    if (write_strand(s, l, &set, false) != OK)
        return; /* lost, or it ends by itself */
}

enum err strand_move(struct state *s, struct strand *l, struct str file)
{
    struct state_item set = {0};
    if (!l->has_pending)
        return OK;
    state_set_text(&set, "unit_file", file);
    state_set_text(&set, "unit_was", str_c(l->pending.was));
    state_set_int(&set, "unit_was_sequence", l->pending.sequence);
    TRY(write_strand(s, l, &set, true));
    snprintf(l->pending.file, sizeof(l->pending.file), "%.*s", STR_ARG(file));
    return OK;
}

void strand_settled(struct strand *l)
{
    l->has_pending = false;
}

/* ---- checkpoints ---- */

static void copy(struct str s, char *out, size_t n)
{
    snprintf(out, n, "%.*s", STR_ARG(s));
}

enum err checkpoint_load(struct state *s, struct str instance, struct str file,
                         struct checkpoint *ret)
{
    struct arena a;
    *ret = (struct checkpoint){.marker = "0"};
    arena_init(&a, 0, NULL);
    struct state_item *i = ARENA_NEW(&a, struct state_item);
    enum err err = state_get(s, STATE_CHECKPOINTS, (struct state_key){instance, file}, &a, i);
    if (err == OK) {
        struct str marker = state_text(i, "marker");
        ret->exists = true;
        ret->offset = (uint64_t)state_int(i, "byte_offset");
        copy(marker.n ? marker : STR("0"), ret->marker, sizeof(ret->marker));
        ret->marker_at = (uint64_t)state_int(i, "marker_offset");
        copy(state_text(i, "next_marker"), ret->next_marker, sizeof(ret->next_marker));
        ret->next_at = (uint64_t)state_int(i, "next_marker_offset");
        ret->check_at = (uint64_t)state_int(i, "hash_offset");
        ret->check_crc = (uint32_t)state_int(i, "hash");
        ret->overlap_crc = (uint32_t)state_int(i, "marker_hash");
        ret->head_n = (uint32_t)state_int(i, "head_bytes");
        ret->head_crc = (uint32_t)state_int(i, "head_hash");
        copy(state_text(i, "parser"), ret->parser, sizeof(ret->parser));
        ret->sequence = state_int(i, "sequence");
        ret->last_written_ms = state_int(i, "last_written");
        ret->generation = state_int(i, "generation");
        if (ret->marker_at > ret->check_at || ret->check_at > ret->offset)
            err = err_set(ERR_CORRUPT, "the checkpoint of %.*s %.*s contradicts itself",
                          STR_ARG(instance), STR_ARG(file));
    } else if (err == ERR_NOTFOUND) {
        err = OK;
    }
    arena_release(&a);
    return err;
}

enum err checkpoint_store(struct state *s, struct str instance, struct str file,
                          const struct checkpoint *was, const struct checkpoint *c)
{
    struct state_item set = {0};
    struct state_cond cond[2] = {{.op = STATE_NO_ITEM}};
    unsigned n = 1;
    if (was && was->exists) {
        cond[0] = (struct state_cond){
            .op = STATE_IS_INT, .name = "byte_offset", .number = (int64_t)was->offset};
        cond[n++] = (struct state_cond){
            .op = STATE_IS_INT, .name = "generation", .number = was->generation};
    }
    state_set_int(&set, "byte_offset", (int64_t)c->offset);
    state_set_text(&set, "marker", str_c(c->marker));
    state_set_int(&set, "marker_offset", (int64_t)c->marker_at);
    state_set_text(&set, "next_marker", str_c(c->next_marker));
    state_set_int(&set, "next_marker_offset", (int64_t)c->next_at);
    state_set_int(&set, "hash_offset", (int64_t)c->check_at);
    state_set_int(&set, "hash", c->check_crc);
    state_set_int(&set, "marker_hash", c->overlap_crc);
    state_set_int(&set, "head_bytes", c->head_n);
    state_set_int(&set, "head_hash", c->head_crc);
    state_set_text(&set, "parser", str_c(c->parser));
    state_set_int(&set, "sequence", c->sequence);
    state_set_int(&set, "last_written", c->last_written_ms);
    state_set_int(&set, "generation", c->generation);
    state_set_int(&set, "updated_at", now_s());
    state_set_int(&set, "expires_at", now_s() + CHECKPOINT_DAYS * 86400);
    return state_update(s, STATE_CHECKPOINTS, (struct state_key){instance, file}, &set, cond, n);
}
