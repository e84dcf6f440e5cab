/* Where the bytes come from. A live file's news are read by portions, each of which begins a little
 * before what is new, so that its bytes prove that it is still the same file; from the second
 * portion of a visit on the file's head is looked at as well, behind each download. A rotated file
 * with more than a portion to read comes by the whole-file endpoint, one consistent stream.
 *
 * When a live file turns out to be another, the old one has been renamed: it is looked for by its
 * head among the files of the strand, its checkpoint goes with it, and it is read to its end. Found
 * from the other side (a new rotated file whose head is that of the live file's checkpoint) it is
 * the same step. Each write of it is conditional, and done again after a crash. */
#include "aurora/visit.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum {
    WHOLE_BYTES_MIN = 1 << 20, /* new, or twice that with what must be read again before it */
    SHARE_BYTES = 64 << 20,    /* of a visit, for fairness */
    HEAD_LINES = 200,
    PORTION_MAX = 64 << 20,
    ROUNDS_MAX = 4,
};
#define QUIET_MS (60 * 1000) /* a rotated file that was not written to for so long has its end */

struct str visit_stream(enum mysql_log_kind kind)
{
    switch (kind) {
    case MYSQL_LOG_SLOW:
        return STR("slow_search_logs");
    case MYSQL_LOG_GENERAL:
        return STR("general_logs");
    case MYSQL_LOG_AUDIT:
        return STR("audit_logs");
    default:
        return STR("error_logs");
    }
}

/* What a visit knows. */
struct visiting {
    struct visitor *v;
    const struct logfile_message *m;
    struct strand strand;
    struct visit *ret;
    struct str time_zone;
    struct arena arena;
};

/* ---- reading ---- */

static enum err open_intake(struct visiting *x, struct str file, int64_t last_written_ms,
                            const struct checkpoint *cp, bool again, struct intake *f)
{
    enum mysql_log_kind kind = logfile_kind(file);
    struct intake_options o = {.deliver = &x->v->deliver,
                               .strand = &x->strand,
                               .unit = &x->v->unit,
                               .instance = x->m->instance_id,
                               .file = file,
                               .stream = visit_stream(kind),
                               .time_zone = x->time_zone,
                               .kind = kind,
                               .keep = x->v->keep,
                               .rows_max = x->v->rows_max,
                               .last_written_ms = last_written_ms,
                               .cp = cp,
                               .again = again};
    return intake_init(f, &o);
}

/* Whether the file begins as the checkpoint says. */
static enum err has_head(struct visiting *x, struct str file, const struct checkpoint *cp,
                         bool *ret)
{
    struct rds_portion p = {0};
    buf_init(&p.data, PORTION_MAX);
    enum err err = rds_download_portion(x->v->client, x->m->instance_id, file, "0", HEAD_LINES, &p);
    *ret = err == OK && p.data.n >= cp->head_n &&
           (uint32_t)crc32_z(0, (const unsigned char *)p.data.p, cp->head_n) == cp->head_crc;
    buf_release(&p.data);
    return err;
}

/* Between the portions of one reading the file may have been rotated. */
static enum err check_between(struct visiting *x, struct intake *f)
{
    struct checkpoint head = f->cp;
    bool same;
    if (!head.head_n) {
        head.head_n = (uint32_t)(f->at < INTAKE_HEAD_BYTES ? f->at : INTAKE_HEAD_BYTES);
        head.head_crc = (uint32_t)crc32_z(0, (const unsigned char *)f->head, head.head_n);
    }
    TRY(has_head(x, f->file, &head, &same));
    if (same)
        return OK;
    f->other_file = true;
    return err_set(ERR_CORRUPT, "%.*s was rotated while it was read", STR_ARG(f->file));
}

static enum err read_portions(struct visiting *x, struct intake *f, bool live, bool last)
{
    struct rds_portion p = {0};
    char marker[PROGRESS_MARKER_MAX];
    uint64_t at = f->cp.marker_at;
    enum err err = OK;
    snprintf(marker, sizeof(marker), "%s", f->cp.marker);
    buf_init(&p.data, PORTION_MAX);
    for (unsigned i = 0; err == OK; i++) {
        err = rds_download_portion(x->v->client, x->m->instance_id, f->file, marker, 0, &p);
        if (err == OK && i && live && p.data.n)
            err = check_between(x, f);
        if (err == ERR_INVALID && !i && at) { /* the marker leads nowhere: is it the file? */
            f->other_file = true;
            err = ERR_CORRUPT;
        }
        if (err != OK)
            break;
        intake_begin(f, marker, at);
        err = intake_bytes(f, buf_str(&p.data));
        at += p.data.n;
        snprintf(marker, sizeof(marker), "%s", p.marker);
        if (!p.pending || !p.data.n || err != OK)
            break;
        x->ret->more = f->bytes >= SHARE_BYTES && f->at > f->cp.offset && !f->again;
        if (x->ret->more)
            break;
    }
    if (err == ERR_EOF) /* within the portion: its marker is not of this place */
        err = intake_end(f, true, "");
    else if (err == OK)
        err = intake_end(f, last, p.marker);
    buf_release(&p.data);
    return err;
}

static enum err take_bytes(void *ctx, struct str bytes)
{
    return intake_bytes(ctx, bytes);
}

static enum err read_whole(struct visiting *x, struct intake *f, bool last)
{
    intake_begin(f, "0", 0);
    enum err err = rds_download_whole(x->v->client, x->m->instance_id, f->file, take_bytes, f);
    if (err == ERR_EOF || err == OK)
        return intake_end(f, err == ERR_EOF || last, "");
    return err;
}

static bool wants_whole(const struct visiting *x, const struct intake *f, bool live, uint64_t size)
{
    return !live && !x->v->whole_denied &&
           (size > f->cp.offset + WHOLE_BYTES_MIN || size > f->cp.marker_at + 2 * WHOLE_BYTES_MIN);
}

/* Reads what is new, from the checkpoint on. */
static enum err read_news(struct visiting *x, struct intake *f, uint64_t size, bool last)
{
    bool live = logfile_is_live(f->file);
    if (wants_whole(x, f, live, size)) {
        enum err err = read_whole(x, f, last);
        bool refused = err == ERR_AUTH || err == ERR_INVALID;
        if (!refused || f->bytes)
            return err;
        log_warn("the whole-file endpoint refuses, files come by portions",
                 "instance=%.*s error=%s", STR_ARG(x->m->instance_id), err_text());
        x->v->whole_denied = true;
    }
    return read_portions(x, f, live, last);
}

/* ---- files that changed their names ---- */

/* Reading begins at the file's beginning. */
static void forget_markers(struct checkpoint *c)
{
    snprintf(c->marker, sizeof(c->marker), "0");
    c->marker_at = 0;
    c->next_marker[0] = '\0';
    c->overlap_crc = c->check_crc;
}

/* The name has another file now, of which nothing is read. The number of the last unit stays, so
 * that a unit of the old one is not taken for the new one's. */
static enum err begin_anew(struct visiting *x, struct str file, const struct checkpoint *cp)
{
    struct checkpoint c = {
        .exists = true, .marker = "0", .generation = cp->generation + 1, .sequence = cp->sequence};
    return checkpoint_store(x->v->deliver.state, x->m->instance_id, file, cp->exists ? cp : NULL,
                            &c);
}

/* `from`'s checkpoint becomes that of `to`; `from` begins anew. Nothing says that a marker holds
 * under the new name, but it is tried: the bytes it leads to are proved. */
static enum err move_checkpoint(struct visiting *x, struct str from, const struct checkpoint *cp,
                                struct str to)
{
    struct state *s = x->v->deliver.state;
    struct checkpoint there, moved = *cp;
    TRY(checkpoint_load(s, x->m->instance_id, to, &there));
    bool done = there.exists && there.head_n == cp->head_n && there.head_crc == cp->head_crc &&
                there.offset >= cp->offset;
    if (!done) {
        if (x->v->markers_end)
            forget_markers(&moved);
        moved.generation = there.exists ? there.generation + 1 : 1;
        moved.last_written_ms = 0;
        TRY(checkpoint_store(s, x->m->instance_id, to, there.exists ? &there : NULL, &moved));
    }
    if (x->strand.has_pending && str_eq_c(from, x->strand.pending.file))
        TRY(strand_move(s, &x->strand, to));
    TRY(begin_anew(x, from, cp));
    log_info("log file was rotated", "instance=%.*s from=%.*s to=%.*s byte_offset=%" PRIu64,
             STR_ARG(x->m->instance_id), STR_ARG(from), STR_ARG(to), cp->offset);
    metric_add(metric_counter("weir_aurora_rotations_total", NULL, "Log files seen renamed."), 1);
    return OK;
}

static int newest_first(const void *va, const void *vb)
{
    const struct rds_file *a = va, *b = vb;
    return (a->last_written_ms < b->last_written_ms) - (a->last_written_ms > b->last_written_ms);
}

/* The file that `live` was. ERR_NOTFOUND: it is nowhere. */
static enum err find_renamed(struct visiting *x, struct str live, const struct checkpoint *cp,
                             struct rds_file *ret)
{
    struct rds_files list = {0};
    struct rds_files_query q = {.instance = x->m->instance_id,
                                .contains = arena_str(&x->arena, live).p};
    TRY(rds_describe_files(x->v->client, &q, &x->arena, &list));
    if (list.n)
        qsort(list.item, list.n, sizeof(*list.item), newest_first);
    for (uint32_t i = 0; i < list.n; i++) {
        const struct rds_file *file = &list.item[i];
        bool same = false;
        if (str_eq(file->name, live) || !str_starts(file->name, live) || file->size < cp->offset)
            continue;
        enum err err = has_head(x, file->name, cp, &same);
        if (err != OK && err != ERR_NOTFOUND)
            return err;
        if (same) {
            *ret = *file;
            return OK;
        }
    }
    return err_set(ERR_NOTFOUND, "no file of the log begins as %.*s did", STR_ARG(live));
}

static enum err lost(struct visiting *x, struct str file, const struct checkpoint *cp,
                     const char *what)
{
    char error[200];
    snprintf(error, sizeof(error),
             "%s: it was read up to byte %" PRIu64 ", what came behind that is lost", what,
             cp->offset);
    struct dead_letter d = {.instance = x->m->instance_id,
                            .file = file,
                            .log_type = mysql_log_type(logfile_kind(file)),
                            .from = cp->offset,
                            .to = cp->offset,
                            .error = error,
                            .sequence = cp->generation};
    return dead_letter_put(x->v->deliver.state, &d);
}

/* ---- one file ---- */

static enum err visit_name(struct visiting *x, struct str file, uint64_t size,
                           int64_t last_written_ms, unsigned round);

/* Its markers lead nowhere. */
static enum err drop_markers(struct visiting *x, struct str file, struct checkpoint *cp)
{
    struct checkpoint c = *cp;
    forget_markers(&c);
    if (!logfile_is_live(file))
        x->v->markers_end = true;
    TRY(checkpoint_store(x->v->deliver.state, x->m->instance_id, file, cp, &c));
    *cp = c;
    return OK;
}

/* The file begins as it did, so that only a marker can have been wrong; false for one that was read
 * from its beginning already. */
static enum err is_marker_wrong(struct visiting *x, struct str file, const struct checkpoint *cp,
                                bool *ret)
{
    *ret = false;
    enum err err = cp->marker_at ? has_head(x, file, cp, ret) : OK;
    return err == ERR_NOTFOUND ? OK : err;
}

/* The pending unit cannot be made again. */
static enum err give_up_unit(struct visiting *x, struct str file, struct checkpoint *cp)
{
    TRY(lost(x, file, cp, "the file is gone, with a unit that may not have been sent"));
    cp->sequence = x->strand.pending.sequence;
    TRY(begin_anew(x, file, cp));
    strand_settled(&x->strand);
    return OK;
}

/* Reads the unit's bytes. *ret_other: the name has another file, or none. */
static enum err redo_here(struct visiting *x, struct str file, const struct checkpoint *cp,
                          bool *ret_other)
{
    struct intake f;
    bool same = true;
    enum err err = OK;
    *ret_other = false;
    /* A unit from a file's beginning has nothing before it that would tell. */
    if (!cp->offset)
        err = has_head(x, file, cp, &same);
    if (err == OK && same) {
        TRY(open_intake(x, file, 0, cp, true, &f));
        err = read_news(x, &f, x->strand.pending.to, true);
        same = !f.other_file;
        intake_release(&f);
    }
    *ret_other = err == ERR_NOTFOUND || !same;
    return *ret_other ? OK : err;
}

/* The pending unit of the strand, made and sent again. */
static enum err redo(struct visiting *x)
{
    struct strand_unit *u = &x->strand.pending;
    struct str file = arena_str(&x->arena, str_c(u->file));
    struct checkpoint cp;
    struct rds_file renamed;
    bool other, wrong;
    TRY(checkpoint_load(x->v->deliver.state, x->m->instance_id, file, &cp));
    if (cp.offset != u->from || cp.sequence >= u->sequence) {
        strand_settled(&x->strand); /* it is committed, or was reset since */
        return OK;
    }
    log_info("a unit that was under way is sent again",
             "instance=%.*s file=%.*s from=%" PRIu64 " to=%" PRIu64, STR_ARG(x->m->instance_id),
             STR_ARG(file), u->from, u->to);
    if (!cp.head_n) {
        cp.head_n = u->head_n;
        cp.head_crc = u->head_crc;
    }
    TRY(redo_here(x, file, &cp, &other));
    if (!other)
        return OK;
    TRY(is_marker_wrong(x, file, &cp, &wrong));
    if (wrong) {
        TRY(drop_markers(x, file, &cp));
        return redo(x);
    }
    if (!logfile_is_live(file))
        return give_up_unit(x, file, &cp);
    enum err err = find_renamed(x, file, &cp, &renamed);
    if (err == ERR_NOTFOUND)
        return give_up_unit(x, file, &cp);
    TRY(err);
    TRY(move_checkpoint(x, file, &cp, renamed.name));
    return redo(x);
}

/* A live file is another one now: the old one is read to its end, then this one from its beginning.
 */
static enum err follow(struct visiting *x, struct str file, const struct checkpoint *cp,
                       uint64_t size, int64_t last_written_ms, unsigned round)
{
    struct rds_file renamed;
    struct checkpoint same = *cp;
    bool wrong;
    TRY(is_marker_wrong(x, file, cp, &wrong));
    if (wrong) {
        TRY(drop_markers(x, file, &same));
        return visit_name(x, file, size, last_written_ms, round + 1);
    }
    enum err err = find_renamed(x, file, cp, &renamed);
    if (err == OK) {
        TRY(move_checkpoint(x, file, cp, renamed.name));
        TRY(visit_name(x, renamed.name, renamed.size, renamed.last_written_ms, round + 1));
    } else if (err == ERR_NOTFOUND) {
        TRY(lost(x, file, cp, "the file was replaced or truncated"));
        TRY(begin_anew(x, file, cp));
    } else {
        return err;
    }
    return visit_name(x, file, size, last_written_ms, round + 1);
}

/* A rotated file is met for the first time, or is another than that which had its name (".15" comes
 * again each day): perhaps it is what the live file was. */
static enum err adopt(struct visiting *x, struct str file, struct checkpoint *cp)
{
    struct state *s = x->v->deliver.state;
    struct str live = logfile_base(file);
    struct checkpoint of_live;
    bool same = false;
    if (cp->exists && cp->offset > 0) {
        TRY(has_head(x, file, cp, &same));
        if (same)
            return OK;
        TRY(begin_anew(x, file, cp));
        TRY(checkpoint_load(s, x->m->instance_id, file, cp));
    }
    TRY(checkpoint_load(s, x->m->instance_id, live, &of_live));
    if (!of_live.offset)
        return OK;
    TRY(has_head(x, file, &of_live, &same));
    if (!same)
        return OK;
    /* The live file may begin alike where neither has more than a banner: ask it too. */
    bool still = false;
    enum err err = of_live.head_n < INTAKE_HEAD_BYTES ? has_head(x, live, &of_live, &still) : OK;
    if (err != OK && err != ERR_NOTFOUND)
        return err;
    if (still)
        return OK;
    TRY(move_checkpoint(x, live, &of_live, file));
    return checkpoint_load(s, x->m->instance_id, file, cp);
}

static bool is_done(const struct checkpoint *cp, uint64_t size, int64_t last_written_ms)
{
    return cp->exists && cp->offset == size && cp->last_written_ms == last_written_ms;
}

static enum err visit_name(struct visiting *x, struct str file, uint64_t size,
                           int64_t last_written_ms, unsigned round)
{
    bool live = logfile_is_live(file);
    struct checkpoint cp;
    struct intake f;
    if (round > ROUNDS_MAX)
        return err_set(ERR_UNAVAILABLE, "%.*s changes faster than it is read", STR_ARG(file));
    TRY(checkpoint_load(x->v->deliver.state, x->m->instance_id, file, &cp));
    if (is_done(&cp, size, last_written_ms) || (!size && !cp.offset))
        return OK;
    if (!live)
        TRY(adopt(x, file, &cp));
    bool last = !live && clock_now_ns() / NS_PER_MS - last_written_ms > QUIET_MS;
    TRY(open_intake(x, file, last_written_ms, &cp, false, &f));
    enum err err = read_news(x, &f, size, last);
    x->ret->bytes += f.bytes;
    x->ret->records += f.records;
    x->ret->rest = err == OK && !live && f.cp.offset < f.at;
    struct checkpoint now = f.cp;
    bool other = f.other_file;
    intake_release(&f);
    if (err == ERR_CORRUPT && other && live)
        return follow(x, file, &now, size, last_written_ms, round);
    if (err == ERR_CORRUPT && other) {
        bool wrong;
        TRY(is_marker_wrong(x, file, &now, &wrong));
        if (wrong) {
            TRY(drop_markers(x, file, &now));
            return visit_name(x, file, size, last_written_ms, round + 1);
        }
        TRY(lost(x, file, &now, "the rotated file was replaced"));
        TRY(begin_anew(x, file, &now));
        return visit_name(x, file, size, last_written_ms, round + 1);
    }
    return err;
}

/* ---- visits ---- */

static void find_time_zone(struct visiting *x)
{
    struct state_item *item = ARENA_NEW(&x->arena, struct state_item);
    x->time_zone = x->v->time_zone;
    struct state_key key = {x->m->instance_id, STR("")};
    if (state_get(x->v->deliver.state, STATE_INSTANCES, key, &x->arena, item) == OK &&
        state_text(item, "time_zone").n)
        x->time_zone = state_text(item, "time_zone");
}

static enum err visit_strand(struct visiting *x)
{
    const struct logfile_message *m = x->m;
    if (x->strand.has_pending)
        TRY(redo(x));
    enum err err = visit_name(x, m->log_file_name, m->size, m->last_written_ms, 0);
    if (err != ERR_NOTFOUND)
        return err;
    char why[256];
    struct checkpoint cp;
    snprintf(why, sizeof(why), "%s", err_text());
    TRY(checkpoint_load(x->v->deliver.state, m->instance_id, m->log_file_name, &cp));
    if (cp.offset < m->size)
        TRY(lost(x, m->log_file_name, &cp, "the file has vanished"));
    return err_set(ERR_NOTFOUND, "%s", why);
}

enum err visit_file(struct visitor *v, const struct logfile_message *m, struct visit *ret)
{
    struct visiting x = {.v = v, .m = m, .ret = ret};
    *ret = (struct visit){0};
    TRY(strand_claim(v->deliver.state, m->instance_id, m->log_file_name, v->owner, v->lease_s,
                     &x.strand));
    arena_init(&x.arena, 0, NULL);
    rds_source_about(m->instance_id);
    find_time_zone(&x);
    enum err err = visit_strand(&x);
    char text[256];
    snprintf(text, sizeof(text), "%s", err_text());
    rds_source_about(STR(""));
    strand_release(v->deliver.state, &x.strand); /* nothing, where it was lost */
    arena_release(&x.arena);
    return err == OK ? OK : err_set(err, "%s", text);
}
