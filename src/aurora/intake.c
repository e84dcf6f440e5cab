#include "aurora/intake.h"

#include "core/clock.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <zlib.h>

enum { PIECE_BYTES = 64 << 10 };

static uint32_t crc_of(uint32_t crc, struct str s)
{
    return (uint32_t)crc32_z(crc, (const unsigned char *)s.p, s.n);
}

enum err intake_init(struct intake *f, const struct intake_options *o)
{
    /* What is sent again is the same to the byte: that is how some outputs tell repeats. */
    struct str name = o->again ? str_c(o->strand->pending.was) : o->file;
    struct mysql_log_options m = {.kind = o->kind,
                                  .keep = o->keep,
                                  .time_zone = o->time_zone,
                                  .instance = o->instance,
                                  .file = name};
    *f = (struct intake){.deliver = o->deliver,
                         .strand = o->strand,
                         .instance = o->instance,
                         .file = o->file,
                         .cp = *o->cp,
                         .unit = o->unit,
                         .stream = o->stream,
                         .rows_max = o->rows_max,
                         .again = o->again,
                         .stop_at = o->again ? o->strand->pending.to : UINT64_MAX,
                         .last_written_ms = o->last_written_ms};
    TRY(mysql_log_new(&m, &f->parser));
    enum err err = OK;
    if (f->cp.parser[0])
        err = mysql_log_restore(f->parser, str_c(f->cp.parser));
    if (err == OK && mysql_log_consumed(f->parser) != f->cp.offset)
        err = err_set(ERR_CORRUPT, "the parser's state of %.*s stands at another byte",
                      STR_ARG(f->file));
    unit_clear(f->unit, f->stream, f->again ? f->strand->pending.arrival_ns : clock_now_ns());
    if (err != OK)
        intake_release(f);
    return err;
}

void intake_release(struct intake *f)
{
    mysql_log_free(f->parser);
    f->parser = NULL;
}

void intake_begin(struct intake *f, const char *marker, uint64_t at)
{
    bool first = !f->marker[0];
    snprintf(f->marker, sizeof(f->marker), "%s", marker);
    f->marker_at = at;
    f->overlap_crc = 0;
    if (!first)
        return;
    f->at = f->began = at;
    if (!at && !f->cp.check_at && f->cp.head_n <= f->cp.offset) {
        f->cp.check_at = f->cp.head_n; /* nothing else proves that it is the same file */
        f->cp.check_crc = f->cp.overlap_crc = f->cp.head_crc;
    }
    f->known = f->cp.check_at == at;
    if (f->known)
        f->crc = f->cp.check_crc;
}

/* ---- cutting ---- */

static void add_border(struct intake *f)
{
    if (f->n_borders == INTAKE_BORDERS) { /* a statement without end: every other one will do */
        for (unsigned i = 0; i < INTAKE_BORDERS / 2; i++)
            f->border[i] = f->border[i * 2];
        f->n_borders = INTAKE_BORDERS / 2;
    }
    struct intake_border *b = &f->border[f->n_borders++];
    *b = (struct intake_border){
        .at = f->at, .marker_at = f->marker_at, .crc = f->crc, .overlap_crc = f->overlap_crc};
    memcpy(b->marker, f->marker, sizeof(b->marker));
}

/* The checkpoint for `to`: the last border that is not behind it tells how to come back. */
static void next_checkpoint(struct intake *f, uint64_t to, struct checkpoint *c)
{
    struct buf parser;
    *c = f->cp;
    c->exists = true;
    c->offset = to;
    c->last_written_ms = f->last_written_ms;
    for (unsigned i = f->n_borders; i > 0; i--) {
        const struct intake_border *b = &f->border[i - 1];
        if (b->at > to)
            continue;
        c->check_at = b->at;
        c->check_crc = b->crc;
        c->overlap_crc = b->overlap_crc;
        c->marker_at = b->marker_at;
        memcpy(c->marker, b->marker, sizeof(c->marker));
        break;
    }
    if (f->began == 0 && c->head_n < INTAKE_HEAD_BYTES) {
        c->head_n = (uint32_t)(f->at < INTAKE_HEAD_BYTES ? f->at : INTAKE_HEAD_BYTES);
        c->head_crc = crc_of(0, str_of(f->head, c->head_n));
    }
    if (c->next_at <= c->marker_at)
        c->next_marker[0] = '\0';
    buf_init(&parser, PROGRESS_PARSER_MAX - 1);
    mysql_log_save(f->parser, &parser);
    snprintf(c->parser, sizeof(c->parser), "%.*s", STR_ARG(buf_str(&parser)));
    buf_release(&parser);
}

static enum err commit(struct intake *f, struct checkpoint *c)
{
    TRY(checkpoint_store(f->deliver->state, f->instance, f->file, f->cp.exists ? &f->cp : NULL, c));
    f->cp = *c;
    unsigned gone = 0;
    while (gone < f->n_borders && f->border[gone].at < c->check_at)
        gone++;
    f->n_borders -= gone;
    memmove(f->border, f->border + gone, f->n_borders * sizeof(*f->border));
    log_debug("checkpoint", "instance=%.*s file=%.*s byte_offset=%" PRIu64, STR_ARG(f->instance),
              STR_ARG(f->file), c->offset);
    return OK;
}

/* Everything up to what the parser has consumed is sent, and committed. */
static enum err cut(struct intake *f)
{
    struct checkpoint c;
    uint64_t to = mysql_log_consumed(f->parser);
    TRY(unit_seal(f->unit));
    if (to == f->cp.offset && !f->unit->rows)
        return OK;
    next_checkpoint(f, to, &c);
    if (f->unit->rows || f->again) {
        struct strand_unit *u = &f->strand->pending;
        if (!f->again) {
            *u = (struct strand_unit){.from = f->cp.offset,
                                      .to = to,
                                      .arrival_ns = f->unit->arrival_ns,
                                      .head_n = c.head_n,
                                      .head_crc = c.head_crc};
            snprintf(u->file, sizeof(u->file), "%.*s", STR_ARG(f->file));
            deliver_step(f->deliver, "announce");
            TRY(strand_announce(f->deliver->state, f->strand));
        }
        c.sequence = u->sequence;
        deliver_step(f->deliver, "send");
        TRY(deliver_unit(f->deliver, f->unit, f->strand, f->instance, f->file));
        deliver_step(f->deliver, "commit");
    }
    TRY(commit(f, &c));
    deliver_step(f->deliver, "committed");
    strand_settled(f->strand);
    f->records += f->unit->rows;
    f->again = false;
    unit_clear(f->unit, f->stream, clock_now_ns());
    return OK;
}

static bool is_full(const struct intake *f)
{
    return !f->again && (unit_rows(f->unit) >= f->rows_max ||
                         mysql_log_consumed(f->parser) - f->cp.offset >= UNIT_BYTES);
}

/* ---- bytes ---- */

static void pass(struct intake *f, struct str s)
{
    if (f->began == 0 && f->at < INTAKE_HEAD_BYTES) {
        size_t n = INTAKE_HEAD_BYTES - f->at < s.n ? INTAKE_HEAD_BYTES - f->at : s.n;
        memcpy(f->head + f->at, s.p, n);
    }
    f->crc = crc_of(f->crc, s);
    f->overlap_crc = crc_of(f->overlap_crc, s);
    f->at += s.n;
    f->bytes += s.n;
}

/* The bytes up to check_at: they are hashed, and must be those. */
static enum err recognise(struct intake *f, struct str s)
{
    pass(f, s);
    if (f->at < f->cp.check_at)
        return OK;
    if ((f->began == 0 ? f->crc != f->cp.check_crc : f->overlap_crc != f->cp.overlap_crc)) {
        f->other_file = true;
        return err_set(ERR_CORRUPT, "%.*s is another file now", STR_ARG(f->file));
    }
    f->crc = f->cp.check_crc;
    f->known = true;
    return OK;
}

/* With a border where the parser stands, too: a checkpoint there is proved by the bytes before it,
 * although a record begins behind it that is not whole. */
static void pass_parsed(struct intake *f, struct str s)
{
    uint64_t to = mysql_log_consumed(f->parser);
    if (to > f->at && to < f->at + s.n) {
        size_t n = (size_t)(to - f->at);
        pass(f, str_of(s.p, n));
        add_border(f);
        s = str_from(s, n);
    }
    pass(f, s);
    add_border(f);
}

static enum err parse(struct intake *f, struct str s)
{
    while (s.n) {
        size_t used;
        TRY(mysql_log_feed(f->parser, s, f->unit->arrival_ns, f->unit->batch, &used));
        pass_parsed(f, str_of(s.p, used));
        if (is_full(f))
            TRY(cut(f));
        else if (used < s.n)
            TRY(unit_seal(f->unit));
        s = str_from(s, used);
    }
    return OK;
}

/* How many of the bytes have one fate. */
static size_t share(const struct intake *f, size_t n)
{
    const uint64_t ends[] = {
        f->known ? UINT64_MAX : f->cp.check_at, f->at < f->cp.offset ? f->cp.offset : UINT64_MAX,
        f->stop_at, f->cp.next_marker[0] && f->at < f->cp.next_at ? f->cp.next_at : UINT64_MAX,
        f->at + PIECE_BYTES};
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
        if (ends[i] > f->at && ends[i] - f->at < n)
            n = (size_t)(ends[i] - f->at);
    return n;
}

enum err intake_bytes(struct intake *f, struct str bytes)
{
    while (bytes.n) {
        if (f->at >= f->stop_at)
            return ERR_EOF;
        struct str s = str_of(bytes.p, share(f, bytes.n));
        if (!f->known) {
            TRY(recognise(f, s));
        } else if (f->at < f->cp.offset) {
            pass(f, s);
            add_border(f);
        } else {
            TRY(parse(f, s));
        }
        bytes = str_from(bytes, s.n);
        if (f->cp.next_marker[0] && f->at == f->cp.next_at && f->marker_at < f->at) {
            char marker[PROGRESS_MARKER_MAX];
            memcpy(marker, f->cp.next_marker, sizeof(marker));
            intake_begin(f, marker, f->at);
        }
    }
    return OK;
}

enum err intake_end(struct intake *f, bool last, const char *next_marker)
{
    bool more = true;
    if (!f->known || f->at < f->cp.offset || (f->again && f->at < f->stop_at)) {
        f->other_file = true;
        return err_set(ERR_CORRUPT, "%.*s is shorter than what was read of it", STR_ARG(f->file));
    }
    while (more) {
        TRY(mysql_log_end(f->parser, last, f->unit->arrival_ns, f->unit->batch, &more));
        TRY(unit_seal(f->unit));
    }
    snprintf(f->cp.next_marker, sizeof(f->cp.next_marker), "%s", next_marker);
    f->cp.next_at = f->at;
    return cut(f);
}
