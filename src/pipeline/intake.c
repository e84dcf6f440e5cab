/* DIR/intake and the notes, lines of text; numbers in hex where it says so:
 *
 *   # weir intake, version 1
 *   spool EPOCH(hex) POSITION               notes of the spool below it are in this file
 *   source ACCEPTED REFUSED DROPPED NAME
 *   key KEY(hex32) PAYLOAD(hex32) RECORDS    landed; the oldest are forgotten
 *
 *   books ACCEPTED REFUSED DROPPED NAME      a note: to be added to the source
 *   key ...                                  as above, of the note's body
 *
 * The queue hands notes on in the order of their positions, at the start and later alike, so that
 * the counts in memory are at any time those of a position. */
#include "pipeline/intake.h"

#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

enum { WAYS = 8, BUCKETS = INTAKE_KEYS / WAYS, STATE_MAX = 4 << 20, LINE_ROOM = 512 };
#define SAVE_EVERY_NS (3 * NS_PER_S)

struct landed {
    struct hash128 key, payload;
    uint64_t records, stamp; /* stamp 0: free; the least goes first */
    bool pending;
};

struct intake {
    struct spool *spool;
    char *path;
    unsigned hold;
    pthread_mutex_t lock;
    struct intake_books books;
    struct landed landed[BUCKETS][WAYS];
    uint64_t stamp;
    bool unsaved;
    int64_t saved_ns;
};

/* ---- books ---- */

static struct intake_source *source_of(struct intake_books *b, struct str name)
{
    for (unsigned i = 0; i < b->n; i++)
        if (str_eq_c(name, b->source[i].name))
            return &b->source[i];
    if (b->n == INTAKE_SOURCES_MAX) /* the last one stands for all others */
        return &b->source[b->n - 1];
    struct intake_source *s = &b->source[b->n++];
    *s = (struct intake_source){0};
    snprintf(s->name, sizeof(s->name), "%.*s", STR_ARG(name));
    return s;
}

/* "WORD N N N NAME". */
static bool add_counts(struct intake_books *b, struct str line)
{
    struct str word, part[3];
    uint64_t n[3];
    (void)str_split(&line, ' ', &word);
    for (int i = 0; i < 3; i++)
        if (!str_split(&line, ' ', &part[i]) || !str_to_u64(part[i], &n[i]))
            return false;
    if (!line.n)
        return false;
    struct intake_source *s = source_of(b, line);
    s->accepted += n[0];
    s->refused += n[1];
    s->dropped += n[2];
    return true;
}

void intake_books_note(struct intake_books *b, struct str note, uint64_t behind)
{
    struct str line;
    if (behind <= b->position || !str_split(&note, '\n', &line))
        return;
    if (!add_counts(b, line))
        log_error("a note of the spool cannot be read", "note=\"%.*s\"", STR_ARG(line));
    b->position = behind;
}

/* ---- keys ---- */

static struct landed *bucket_of(struct intake *t, struct hash128 key)
{
    return t->landed[key.lo % BUCKETS];
}

static struct landed *find_key(struct intake *t, struct hash128 key)
{
    struct landed *b = bucket_of(t, key);
    for (int i = 0; i < WAYS; i++)
        if (b[i].stamp && b[i].key.lo == key.lo && b[i].key.hi == key.hi)
            return &b[i];
    return NULL;
}

/* A place for it, that of the oldest if need be; NULL: all are under way. */
static struct landed *place_key(struct intake *t, struct hash128 key)
{
    struct landed *b = bucket_of(t, key), *best = NULL;
    for (int i = 0; i < WAYS; i++)
        if (!b[i].pending && (!best || b[i].stamp < best->stamp))
            best = &b[i];
    if (best)
        *best = (struct landed){.key = key, .stamp = ++t->stamp};
    return best;
}

static void key_landed(struct intake *t, struct hash128 key, struct hash128 payload,
                       uint64_t records)
{
    struct landed *l = find_key(t, key);
    if (!l && !(l = place_key(t, key)))
        return;
    l->payload = payload;
    l->records = records;
    l->pending = false;
    t->unsaved = true;
}

static enum claim claim(struct intake *t, struct hash128 key, struct hash128 payload,
                        uint64_t *ret_records)
{
    pthread_mutex_lock(&t->lock);
    struct landed *l = find_key(t, key);
    enum claim c = CLAIM_NEW;
    if (l && l->pending)
        c = CLAIM_PENDING;
    else if (l && (l->payload.lo != payload.lo || l->payload.hi != payload.hi))
        c = CLAIM_OTHER;
    else if (l)
        c = CLAIM_SEEN;
    if (c == CLAIM_SEEN)
        *ret_records = l->records;
    if (!l && (l = place_key(t, key))) {
        l->payload = payload;
        l->pending = true;
    } else if (!l) {
        c = CLAIM_PENDING;
    }
    pthread_mutex_unlock(&t->lock);
    return c;
}

static void settle(struct intake *t, struct hash128 key, bool landed, uint64_t records)
{
    pthread_mutex_lock(&t->lock);
    struct landed *l = find_key(t, key);
    if (l && landed)
        key_landed(t, key, l->payload, records);
    else if (l)
        *l = (struct landed){0};
    pthread_mutex_unlock(&t->lock);
}

/* ---- the ground ---- */

static enum err admit(void *ctx, size_t bytes)
{
    return OK; /* the spool says when it is full */
}

static enum claim claim_key(void *ctx, struct hash128 key, struct hash128 payload,
                            uint64_t *ret_records)
{
    return claim(ctx, key, payload, ret_records);
}

static void settle_key(void *ctx, struct hash128 key, bool landed, uint64_t records)
{
    settle(ctx, key, landed, records);
}

/* Records with an id land once at the server. */
static enum err claim_id(void *ctx, struct str org, struct str stream, struct str id,
                         enum claim *ret)
{
    *ret = CLAIM_NEW;
    return OK;
}

static void settle_id(void *ctx, struct str org, struct str stream, struct str id, bool landed)
{
}

/* A unit of another agent: its number is a key, its mark the payload. */
static struct hash128 sequence_key(const struct store_sequence *n)
{
    const uint64_t what[3] = {n->producer, n->epoch, n->sequence};
    return hash128(str_of((const char *)what, sizeof(what)));
}

static enum claim claim_sequence(void *ctx, const struct store_sequence *n)
{
    uint64_t records;
    return claim(ctx, sequence_key(n), (struct hash128){n->mark, 0}, &records);
}

static void settle_sequence(void *ctx, const struct store_sequence *n, bool landed)
{
    settle(ctx, sequence_key(n), landed, 0);
}

static void put_key(struct buf *out, struct hash128 key, struct hash128 payload, uint64_t records)
{
    buf_printf(out, "key %016" PRIx64 "%016" PRIx64 " %016" PRIx64 "%016" PRIx64 " %" PRIu64 "\n",
               key.hi, key.lo, payload.hi, payload.lo, records);
}

static enum err append(void *ctx, const struct queue_body *body, const struct ingest_entry *e)
{
    struct intake *t = ctx;
    struct buf note;
    buf_init(&note, SIZE_MAX);
    buf_put_str(&note, SPOOL_BOOKS);
    buf_printf(&note, "%" PRIu64 " %" PRIu64 " %" PRIu64 " ", e->accepted, e->refused, e->dropped);
    buf_put_str(&note, e->source.n ? e->source : STR("http"));
    buf_put_byte(&note, '\n');
    if ((e->key.lo || e->key.hi) && e->accepted)
        put_key(&note, e->key, e->payload, e->accepted);
    for (uint32_t i = 0; i < e->n_sequences; i++)
        put_key(&note, sequence_key(&e->sequence[i]), (struct hash128){e->sequence[i].mark, 0}, 0);
    enum err err = spool_put(t->spool, buf_str(&note), body);
    buf_release(&note);
    return err;
}

static const char *full(void *ctx)
{
    return "the disk of the spool is full: free some space; send again later";
}

struct ingest_ground intake_ground(struct intake *t)
{
    return (struct ingest_ground){
        .ctx = t,
        .admit = admit,
        .claim_key = claim_key,
        .settle_key = settle_key,
        .claim_id = claim_id,
        .settle_id = settle_id,
        .claim_sequence = claim_sequence,
        .settle_sequence = settle_sequence,
        .append = append,
        .full = full,
        .counts = true,
    };
}

/* ---- the state ---- */

static bool read_key(struct intake *t, struct str line)
{
    char text[LINE_ROOM];
    struct hash128 key, payload;
    uint64_t records;
    if (line.n >= sizeof(text))
        return false;
    memcpy(text, line.p, line.n);
    text[line.n] = '\0';
    if (sscanf(text, "key %16" SCNx64 "%16" SCNx64 " %16" SCNx64 "%16" SCNx64 " %" SCNu64, &key.hi,
               &key.lo, &payload.hi, &payload.lo, &records) != 5)
        return false;
    key_landed(t, key, payload, records);
    return true;
}

void intake_note(struct intake *t, struct str note, uint64_t behind)
{
    struct str line, rest = note;
    pthread_mutex_lock(&t->lock);
    if (behind > t->books.position) {
        intake_books_note(&t->books, note, behind);
        (void)str_split(&rest, '\n', &line);
        while (str_split(&rest, '\n', &line))
            if (line.n && !read_key(t, line))
                log_error("a note of the spool cannot be read", "note=\"%.*s\"", STR_ARG(line));
        t->unsaved = true;
    }
    pthread_mutex_unlock(&t->lock);
}

static bool read_line(struct intake_books *b, struct intake *t, struct str line)
{
    unsigned long long epoch, position;
    char text[LINE_ROOM];
    if (!line.n || line.p[0] == '#')
        return true;
    if (str_starts(line, STR("source ")))
        return add_counts(b, line);
    if (str_starts(line, STR("key ")))
        return !t || read_key(t, line);
    snprintf(text, sizeof(text), "%.*s", STR_ARG(line));
    if (sscanf(text, "spool %llx %llu", &epoch, &position) != 2)
        return false;
    b->epoch = epoch;
    b->position = position;
    return true;
}

static enum err load(const char *path, struct intake_books *b, struct intake *t)
{
    struct buf text;
    enum err err = OK;
    *b = (struct intake_books){.position = 1};
    if (!io_exists(path))
        return OK;
    TRY(io_read_file(path, STATE_MAX, &text));
    struct str rest = buf_str(&text), line;
    while (err == OK && str_split(&rest, '\n', &line))
        if (!read_line(b, t, line))
            err = err_set(ERR_CORRUPT, "%s cannot be read: \"%.*s\"", path,
                          line.n > 100 ? 100 : (int)line.n, line.p);
    buf_release(&text);
    return err;
}

enum err intake_books_load(struct intake_books *b, const char *dir)
{
    char *path = mem_printf("%s/intake", dir);
    enum err err = load(path, b, NULL);
    mem_free(path);
    return err;
}

/* With the lock. */
static void write_state(struct intake *t, struct buf *out)
{
    buf_printf(out, "# weir intake, version 1\nspool %" PRIx64 " %" PRIu64 "\n", t->books.epoch,
               t->books.position);
    for (unsigned i = 0; i < t->books.n; i++) {
        const struct intake_source *s = &t->books.source[i];
        buf_printf(out, "source %" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n", s->accepted, s->refused,
                   s->dropped, s->name);
    }
    for (int b = 0; b < BUCKETS; b++)
        for (int i = 0; i < WAYS; i++) {
            const struct landed *l = &t->landed[b][i];
            if (l->stamp && !l->pending)
                put_key(out, l->key, l->payload, l->records);
        }
}

void intake_save(struct intake *t, bool now)
{
    struct buf out;
    uint64_t next = spool_next(t->spool);
    buf_init(&out, SIZE_MAX);
    pthread_mutex_lock(&t->lock);
    /* The notes of all bodies below `next` have come; perhaps later ones too. */
    if (next > t->books.position) {
        t->books.position = next;
        t->unsaved = true;
    }
    bool due = t->unsaved && (now || clock_mono_ns() - t->saved_ns >= SAVE_EVERY_NS);
    uint64_t position = t->books.position;
    if (due)
        write_state(t, &out);
    t->unsaved = t->unsaved && !due;
    pthread_mutex_unlock(&t->lock);
    if (due) {
        t->saved_ns = clock_mono_ns();
        if (io_write_file(t->path, buf_str(&out)) == OK) {
            spool_release(t->spool, t->hold, position, UINT64_MAX);
        } else {
            log_error("the books of the inputs cannot be written", "error=\"%s\"", err_text());
            pthread_mutex_lock(&t->lock);
            t->unsaved = true;
            pthread_mutex_unlock(&t->lock);
        }
    }
    buf_release(&out);
}

/* ---- life ---- */

enum err intake_open(const char *dir, struct spool *spool, struct intake **ret)
{
    struct intake *t = NEW(struct intake);
    t->spool = spool;
    t->path = mem_printf("%s/intake", dir);
    pthread_mutex_init(&t->lock, NULL);
    enum err err = load(t->path, &t->books, t);
    if (err != OK) {
        intake_free(t);
        return err;
    }
    if (t->books.epoch != spool_epoch(spool))
        t->books.position = 1; /* the spool is another one */
    t->books.epoch = spool_epoch(spool);
    t->hold = spool_hold(spool, t->books.position);
    *ret = t;
    return OK;
}

bool intake_source(struct intake *t, unsigned i, struct intake_source *ret)
{
    pthread_mutex_lock(&t->lock);
    bool is = i < t->books.n;
    if (is)
        *ret = t->books.source[i];
    pthread_mutex_unlock(&t->lock);
    return is;
}

void intake_free(struct intake *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    mem_free(t->path);
    mem_free(t);
}
