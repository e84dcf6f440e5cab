/* The write-ahead log's file format, version 1, and its reader. Integers are little-endian.
 *
 *   HEADER, 64 bytes, at offset 0 and once more at offset 4096, in another sector
 *      0  8  magic "WEIRWAL\n"
 *      8  4  version, 1
 *     12  4  0
 *     16  8  position of the first entry (the file is named by it, in 16 hexadecimal digits)
 *     24  8  salt, random, not 0
 *     32  8  salt of the file before this one; 0 when there was none
 *     40  8  offset at which that file ends
 *     48  8  0
 *     56  8  XXH3-64 of bytes 0..55
 *   Bytes 64..4095 are 0. A file that holds no entries may end behind its first header.
 *
 *   ENTRIES, from offset 4160, each at a multiple of 8
 *      0  4  magic "WEN1"
 *      4  4  length of the payload
 *      8  8  position
 *     16  4  part: this is frame `part` of its body, from 0
 *     20  4  parts: the number of frames of its body
 *     24  8  XXH3-64 of the payload
 *     32  8  XXH3-64 of bytes 0..31, seeded with mix(salt + offset of the entry)
 *     40  .  payload, and zeros up to a multiple of 8
 *
 * A body's entries stand together in one file, parts and positions ascending by one. Behind the
 * last entry there are 40 zeros, or a mark, or the file ends: whoever adds entries writes the zeros
 * with them, and over what was there. What follows means nothing (preallocated space, or an older
 * life of the file).
 *
 *   A MARK is the fixed part of an entry whose parts, part, length and hash of the payload are 0;
 *   its position is that of the entry to come. It is written in the zeros' place when all before it
 *   has been synced, and is not synced itself: what stands before a mark was whole once. The next
 *   entry is written over it.
 *
 * WHEN AN ENTRY IS VALID. Its header's checksum holds. That checksum is bound to the file's salt
 * and to the offset: bytes of another file, bytes left over from what the blocks held before, a log
 * file sent as the payload of an entry, none of them pass for an entry. Its position is within what
 * the file may hold and above all before it; its payload lies within the file and has the hash. A
 * body counts when all of its parts are valid and stand behind each other; a part of a body is
 * nothing.
 *
 * WHERE A FILE ENDS. Every file says in its header where the file before it ends. So the end of
 * each file but the last is known exactly, whatever else its blocks hold: preallocated zeros, a
 * write that failed, a write that was answered with an error because its sync failed. Beginning a
 * new file is what makes all of that never have been. The last file has no such witness and is read
 * as far as it goes.
 *
 * THE READER goes from entry to entry. Where one is not valid it looks for the next valid header at
 * every multiple of 8, to the end.
 *   - Something valid is found behind it, or the file is known to reach further: bytes that were
 *     written once are damaged. The region from the last whole body to the next beginning of one is
 *     reported as damaged (the owner keeps a copy and says so), and reading goes on behind it:
 *     neighbours live. A power cut before a sync can leave the same picture, as disks write in any
 *     order; nobody was told that those entries are there, and they may be reported, or replayed,
 *     or both in part.
 *   - Nothing valid is found in the last file, nor a mark: an unfinished write, a torn tail. The
 *     file ends before it, behind the last whole body; the positions there are given out anew, in
 *     a new file. A mark tells an entry that was durable and is damaged now from one that was not:
 *     only where a power cut took the mark is damage to the last body taken for a torn tail.
 *   - The device fails to read: the pages it will not give are zeros, and so damage, in the last
 *     file too unless a mark stands before them. When they are more than a few (UNREADABLE_MAX) it
 *     is the device that is broken, and the reader fails.
 *
 * Memory: one window, and the frames of the body at hand. */
#include "queue/wal.h"

#include "core/hash.h"
#include "core/io.h"
#include "core/mem.h"

enum { VERSION = 1, WINDOW = 256 << 10, UNREADABLE_MAX = 1 << 20 };
#define HEADER_MAGIC "WEIRWAL\n"
#define ENTRY_MAGIC UINT32_C(0x314e4557) /* "WEN1" */

static void put32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(v >> (8 * i));
}

static void put64(char *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}

static uint32_t get32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static uint64_t get64(const char *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

void wal_header_encode(const struct wal_header *h, char out[WAL_START])
{
    CHECK(h->salt != 0);
    memset(out, 0, WAL_START);
    memcpy(out, HEADER_MAGIC, 8);
    put32(out + 8, VERSION);
    put64(out + 16, h->first_position);
    put64(out + 24, h->salt);
    put64(out + 32, h->prev_salt);
    put64(out + 40, h->prev_end);
    put64(out + 56, hash64(str_of(out, 56)));
    memcpy(out + WAL_COPY_OFFSET, out, WAL_HEADER_BYTES);
}

static enum err header_decode(const char *p, const char *path, struct wal_header *ret)
{
    if (memcmp(p, HEADER_MAGIC, 8) != 0 || get64(p + 56) != hash64(str_of(p, 56)))
        return err_set(ERR_CORRUPT, "%s: the header is damaged", path);
    if (get32(p + 8) > VERSION)
        return err_set(ERR_UNSUPPORTED, "%s: version %u, this program reads up to %d", path,
                       get32(p + 8), VERSION);
    struct wal_header h = {
        .first_position = get64(p + 16),
        .salt = get64(p + 24),
        .prev_salt = get64(p + 32),
        .prev_end = get64(p + 40),
    };
    if (h.salt == 0 || h.first_position == 0)
        return err_set(ERR_CORRUPT, "%s: the header makes no sense", path);
    *ret = h;
    return OK;
}

enum err wal_header_read(int fd, const char *path, struct wal_header *ret)
{
    enum err err = ERR_CORRUPT;
    for (uint64_t at = 0; at <= WAL_COPY_OFFSET; at += WAL_COPY_OFFSET) {
        char p[WAL_HEADER_BYTES];
        err = io_pread(fd, p, sizeof(p), at);
        if (err == ERR_EOF)
            return err_set(ERR_CORRUPT, "%s: shorter than a header", path);
        if (err == OK)
            err = header_decode(p, path, ret);
        if (err != ERR_CORRUPT && err != ERR_IO)
            return err;
    }
    return err;
}

static bool is_sound(const struct wal_entry *e)
{
    if (e->parts == 0)
        return e->part == 0 && e->length == 0 && e->hash == 0;
    return e->parts <= WAL_PARTS_MAX && e->part < e->parts && e->length <= WAL_PAYLOAD_MAX;
}

static uint64_t entry_checksum(const char *p, uint64_t salt, uint64_t offset)
{
    return hash64_seed(str_of(p, 32), hash_mix(salt + offset));
}

void wal_entry_encode(const struct wal_entry *e, uint64_t salt, uint64_t offset,
                      char out[WAL_ENTRY_BYTES])
{
    CHECK(offset % 8 == 0 && offset >= WAL_START);
    CHECK(is_sound(e));
    put32(out, ENTRY_MAGIC);
    put32(out + 4, e->length);
    put64(out + 8, e->position);
    put32(out + 16, e->part);
    put32(out + 20, e->parts);
    put64(out + 24, e->hash);
    put64(out + 32, entry_checksum(out, salt, offset));
}

bool wal_entry_decode(const char p[WAL_ENTRY_BYTES], uint64_t salt, uint64_t offset,
                      struct wal_entry *ret)
{
    if (get32(p) != ENTRY_MAGIC || get64(p + 32) != entry_checksum(p, salt, offset))
        return false;
    struct wal_entry e = {
        .length = get32(p + 4),
        .position = get64(p + 8),
        .part = get32(p + 16),
        .parts = get32(p + 20),
        .hash = get64(p + 24),
    };
    if (!is_sound(&e))
        return false;
    *ret = e;
    return true;
}

/* What the reader holds. Everything before `clean` is settled: delivered, or reported as damaged.
 */
struct walk {
    const struct wal_span *span;
    const struct wal_visitor *v;
    char *window; /* bytes [window_at, window_at + window_n) of the file */
    uint64_t window_at;
    size_t window_n;
    uint64_t clean;
    uint64_t expect;    /* the position of the entry at `clean` */
    uint64_t last_end;  /* behind the last valid entry, and the position that would follow it */
    uint64_t last_next; /* (0: none since `clean`) */
    uint64_t begun; /* how far entries were begun: where the last legible fixed part says it ends */
    uint64_t mark;  /* where the last mark stands; 0: none was met */
    uint64_t unreadable, unreadable_end; /* bytes the device would not give; behind the last */
    bool hole;                           /* something invalid was met since `clean` */
    bool behind;                         /* and something valid behind it */
    struct blob **held;                  /* the parts so far of the body at hand */
    size_t held_cap;
    uint32_t n_held, parts;
    uint64_t first; /* position of held[0] */
};

/* Bytes [off, off + n), with zeros in the place of those that the device does not give. */
static enum err read_around(struct walk *w, void *p, size_t n, uint64_t off)
{
    uint64_t lost = 0, lost_end = 0;
    TRY(io_pread_around(w->span->fd, p, n, off, UNREADABLE_MAX, &lost, &lost_end));
    if (lost_end > w->unreadable_end) { /* and not read before */
        w->unreadable += lost;
        w->unreadable_end = lost_end;
    }
    return w->unreadable <= UNREADABLE_MAX ? OK : ERR_IO; /* the text is that of the last page */
}

/* Loads the window so that it begins at `off`; within the span's end. */
static enum err window_load(struct walk *w, uint64_t off)
{
    CHECK(off <= w->span->end);
    uint64_t left = w->span->end - off;
    size_t n = left < WINDOW ? (size_t)left : WINDOW;
    w->window_n = 0;
    TRY(read_around(w, w->window, n, off));
    w->window_at = off;
    w->window_n = n;
    return OK;
}

/* Bytes [off, off + n) of the file, for a small n; NULL in *ret past the end. */
static enum err window_get(struct walk *w, uint64_t off, size_t n, const char **ret)
{
    *ret = NULL;
    if (off > w->span->end || n > w->span->end - off)
        return OK;
    if (off < w->window_at || off + n > w->window_at + w->window_n)
        TRY(window_load(w, off));
    *ret = w->window + (off - w->window_at);
    return OK;
}

static void drop_held(struct walk *w)
{
    for (uint32_t i = 0; i < w->n_held; i++)
        blob_unref(w->held[i]);
    w->n_held = 0;
}

/* Is there a mark at `off`, or an entry's valid fixed part for a payload that the file can hold? */
static enum err get_entry(struct walk *w, uint64_t off, struct wal_entry *ret, bool *ret_valid)
{
    const char *p;
    *ret_valid = false;
    TRY(window_get(w, off, WAL_ENTRY_BYTES, &p));
    if (!p || !wal_entry_decode(p, w->span->salt, off, ret))
        return OK;
    if (ret->parts && off + wal_entry_size(ret->length) > w->begun)
        w->begun = off + wal_entry_size(ret->length);
    uint64_t least = w->last_next > w->expect ? w->last_next : w->expect;
    *ret_valid = wal_entry_size(ret->length) <= w->span->end - off && ret->position >= least &&
                 ret->position <= w->span->position_limit &&
                 ret->parts - ret->part <= w->span->position_limit - ret->position &&
                 ret->position > ret->part;
    return OK;
}

/* The payload of the entry at `off`; NULL in *ret when its hash is another. */
static enum err get_payload(struct walk *w, uint64_t off, const struct wal_entry *e,
                            struct blob **ret)
{
    uint64_t from = off + WAL_ENTRY_BYTES;
    char *p = mem_alloc(e->length ? e->length : 1);
    size_t n = 0; /* what the window holds of it */
    if (from >= w->window_at && from < w->window_at + w->window_n) {
        n = (size_t)(w->window_at + w->window_n - from);
        if (n > e->length)
            n = e->length;
        memcpy(p, w->window + (from - w->window_at), n);
    }
    enum err err = n < e->length ? read_around(w, p + n, e->length - n, from + n) : OK;
    *ret = NULL;
    if (err == OK && hash64(str_of(p, e->length)) == e->hash)
        *ret = blob_take(p, e->length, OWNER_QUEUE);
    else
        mem_free(p);
    return err;
}

/* Everything before `to`, from where position `next` would stand, is settled. */
static void settle(struct walk *w, uint64_t to, uint64_t next)
{
    w->clean = to;
    w->expect = next;
    w->last_next = 0;
    w->hole = w->behind = false;
}

/* Reports [clean, to) as damaged; what follows has position `next` or more. */
static void report_damage(struct walk *w, uint64_t to, uint64_t next)
{
    uint64_t entries = next > w->expect ? next - w->expect : 1;
    if (w->v->damaged)
        w->v->damaged(w->v->ctx, w->clean, to, entries);
    settle(w, to, next);
}

/* Adds a valid part to the body at hand, or begins one, and delivers it when that was the last. */
static void take_part(struct walk *w, uint64_t off, const struct wal_entry *e, struct blob *payload)
{
    uint64_t next_off = off + wal_entry_size(e->length);
    bool continues = w->n_held > 0 && e->part == w->n_held && e->parts == w->parts &&
                     e->position == w->first + e->part;
    w->behind = w->behind || w->hole;
    if (e->part == 0) {
        drop_held(w);
        if (w->clean < off || e->position > w->expect)
            report_damage(w, off, e->position);
        w->first = e->position;
        w->parts = e->parts;
    } else if (!continues) {
        drop_held(w);
        w->hole = w->behind = true;
    }
    w->last_end = next_off;
    w->last_next = e->position + 1;
    if (e->part != 0 && !continues) {
        blob_unref(payload);
        return;
    }
    ARRAY_GROW(w->held, w->held_cap, w->n_held + 1);
    w->held[w->n_held++] = payload;
    if (w->n_held < w->parts)
        return;
    if (w->v->body)
        w->v->body(w->v->ctx, w->held, w->n_held, w->first);
    drop_held(w);
    settle(w, next_off, e->position + 1);
}

/* All before the mark was durable once. Where there is no whole body up to it, there is damage. */
static void take_mark(struct walk *w, uint64_t off, uint64_t next)
{
    drop_held(w);
    if (w->clean < off || next > w->expect)
        report_damage(w, off, next);
    w->mark = off;
}

/* The next offset at or behind `off` with a valid fixed part, or the end. */
static enum err resynchronise(struct walk *w, uint64_t off, uint64_t *ret)
{
    for (; off + WAL_ENTRY_BYTES <= w->span->end; off += 8) {
        const char *p;
        TRY(window_get(w, off, WAL_ENTRY_BYTES, &p));
        if (!p || get32(p) != ENTRY_MAGIC)
            continue;
        struct wal_entry e;
        bool valid;
        TRY(get_entry(w, off, &e, &valid));
        if (valid) {
            *ret = off;
            return OK;
        }
    }
    *ret = w->span->end;
    return OK;
}

static enum err walk_entries(struct walk *w)
{
    uint64_t off = WAL_START, reported = 0;
    while (off + WAL_ENTRY_BYTES <= w->span->end) {
        struct wal_entry e;
        struct blob *payload = NULL;
        bool valid;
        TRY(get_entry(w, off, &e, &valid));
        if (valid && e.parts)
            TRY(get_payload(w, off, &e, &payload));
        if (valid && !e.parts) {
            take_mark(w, off, e.position);
            off += WAL_ENTRY_BYTES;
        } else if (payload) {
            take_part(w, off, &e, payload);
            off += wal_entry_size(e.length);
        } else {
            drop_held(w);
            w->hole = true;
            TRY(resynchronise(w, off + 8, &off));
        }
        if (w->v->progress && off - reported >= 4u << 20) {
            w->v->progress(w->v->ctx, off);
            reported = off;
        }
    }
    return OK;
}

/* An unfinished write behind `clean`: what its fixed parts tell of, else what stands in the place
 * of the zeros or the mark. */
static enum err count_torn(struct walk *w, uint64_t *ret)
{
    static const char zeros[WAL_ENTRY_BYTES];
    uint64_t left = w->span->end - w->clean, begun = w->begun > w->clean ? w->begun - w->clean : 0;
    size_t n = left < sizeof(zeros) ? (size_t)left : sizeof(zeros);
    const char *p;
    TRY(window_get(w, w->clean, n, &p));
    if (begun < n && w->mark != w->clean && p && memcmp(p, zeros, n) != 0)
        begun = n;
    *ret = begun < left ? begun : left;
    return OK;
}

static enum err walk_file(struct walk *w, struct wal_result *ret)
{
    TRY(walk_entries(w));
    drop_held(w);
    uint64_t torn = 0;
    if (!w->span->last && w->clean < w->span->end) {
        uint64_t limit = w->span->position_limit;
        report_damage(w, w->span->end, limit == UINT64_MAX ? w->expect : limit);
    } else if (w->behind && w->last_next) {
        report_damage(w, w->last_end, w->last_next);
    }
    if (w->unreadable_end > w->clean && w->mark != w->clean) {
        uint64_t begun = w->begun < w->span->end ? w->begun : w->span->end;
        report_damage(w, begun > w->unreadable_end ? begun : w->unreadable_end, w->expect);
    }
    if (w->span->last)
        TRY(count_torn(w, &torn));
    *ret = (struct wal_result){w->clean, w->expect, torn, w->unreadable};
    return OK;
}

enum err wal_read(const struct wal_span *span, const struct wal_visitor *v, struct wal_result *ret)
{
    CHECK(span->salt != 0 && span->position_min > 0);
    if (span->end <= WAL_START) {
        *ret = (struct wal_result){.end = WAL_START, .next_position = span->position_min};
        return OK;
    }
    struct walk w = {.span = span, .v = v, .window = mem_alloc(WINDOW)};
    settle(&w, WAL_START, span->position_min);
    enum err err = walk_file(&w, ret);
    drop_held(&w);
    mem_free(w.held);
    mem_free(w.window);
    return err;
}
