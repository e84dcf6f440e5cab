/* Little-endian:
 *
 *    0  4  'W' 'F' 'B' 1       the last is the version
 *    4  4  0
 *    8  8  producer
 *   16  8  epoch
 *   24  .  frames, each: 8 sequence, 4 length, 4 zero, 8 XXH3-64 of the frame seeded with the
 *          sequence, the frame */
#include "wire/frames.h"

#include "core/hash.h"

#include <inttypes.h>

static const char magic[4] = {'W', 'F', 'B', 1};

void frames_begin(struct buf *out, const struct frames_head *h)
{
    buf_put(out, magic, sizeof(magic));
    buf_put_u32(out, 0);
    buf_put_u64(out, h->producer);
    buf_put_u64(out, h->epoch);
}

void frames_add(struct buf *out, uint64_t sequence, struct str frame)
{
    buf_put_u64(out, sequence);
    buf_put_u32(out, (uint32_t)frame.n);
    buf_put_u32(out, 0);
    buf_put_u64(out, hash64_seed(frame, sequence));
    buf_put_str(out, frame);
}

enum err frames_open(struct str body, struct frames_reader *r, struct frames_head *ret)
{
    *r = (struct frames_reader){.in = reader_of(body)};
    struct str head = read_bytes(&r->in, sizeof(magic));
    if (r->in.bad || memcmp(head.p, magic, 3) != 0)
        return err_set(ERR_INVALID, "the body does not begin as one of frames does");
    if (head.p[3] != magic[3])
        return err_set(ERR_UNSUPPORTED, "a body of frames of version %d; this program knows %d",
                       head.p[3], magic[3]);
    uint32_t zero = read_u32(&r->in);
    struct frames_head h = {0};
    h.producer = read_u64(&r->in);
    h.epoch = read_u64(&r->in);
    if (r->in.bad || zero || !h.producer || !h.epoch)
        return err_set(ERR_INVALID, "the head of the body of frames is cut or makes no sense");
    *ret = h;
    return OK;
}

enum err frames_next(struct frames_reader *r, struct frames_item *ret, bool *ret_more)
{
    *ret_more = reader_left(&r->in) > 0;
    if (!*ret_more)
        return OK;
    struct frames_item item = {.sequence = read_u64(&r->in)};
    uint32_t length = read_u32(&r->in), zero = read_u32(&r->in);
    uint64_t hash = read_u64(&r->in);
    item.frame = read_bytes(&r->in, length);
    if (r->in.bad || zero)
        return err_set(ERR_INVALID, "the body of frames is cut behind sequence %" PRIu64, r->last);
    if (!item.sequence || item.sequence < r->last)
        return err_set(ERR_INVALID, "sequence %" PRIu64 " behind %" PRIu64, item.sequence, r->last);
    if (hash64_seed(item.frame, item.sequence) != hash)
        return err_set(ERR_INVALID, "the frame of sequence %" PRIu64 " has another checksum",
                       item.sequence);
    r->last = item.sequence;
    *ret = item;
    return OK;
}
