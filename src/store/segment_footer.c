/* Header, footer and trailer of a segment file. The bytes: segment.c. */
#include "core/hash.h"
#include "store/segment_format.h"

enum { SECTIONS_MAX = 1 << 22, IDS_MAX = 1 << 16 };

static const struct member section_members[] = {
    MEMBER(seg_section, stream_id),   MEMBER(seg_section, day),
    MEMBER(seg_section, time_min),    MEMBER(seg_section, time_max),
    MEMBER(seg_section, rows),        MEMBER(seg_section, raw_bytes),
    MEMBER(seg_section, offset),      MEMBER(seg_section, tail_offset),
    MEMBER(seg_section, tail_length), MEMBER(seg_section, blocks),
};
static const struct member ids_members[] = {
    MEMBER(seg_ids, offset),
    MEMBER(seg_ids, length),
    MEMBER(seg_ids, sum),
};
#define N_MEMBERS(m) (sizeof(m) / sizeof(*(m)))

static enum err corrupt(const char *what)
{
    return err_set(ERR_CORRUPT, "segment: %s", what);
}

void segment_header_put(uint64_t id, struct buf *out)
{
    size_t start = out->n;
    buf_put(out, SEGMENT_MAGIC, 8);
    buf_put_u16(out, SEGMENT_VERSION);
    buf_put_u16(out, 0);
    buf_put_u32(out, 0);
    buf_put_u64(out, id);
    buf_put_u64(out, hash64(str_of(out->p + start, 24)));
}

enum err segment_header_read(struct str bytes, uint64_t *ret_id)
{
    struct reader r = reader_of(bytes);
    struct str magic = read_bytes(&r, 8);
    uint16_t version = read_u16(&r);
    read_u16(&r);
    read_u32(&r);
    uint64_t id = read_u64(&r), sum = read_u64(&r);
    if (r.bad || !str_eq_c(magic, SEGMENT_MAGIC))
        return corrupt("it does not start as one");
    if (sum != hash64(str_of(bytes.p, 24)))
        return corrupt("bad checksum of the header");
    if (version != SEGMENT_VERSION)
        return err_set(ERR_UNSUPPORTED, "segment of format %u; this program reads %d", version,
                       SEGMENT_VERSION);
    *ret_id = id;
    return OK;
}

/* ---- writing ---- */

static void put_part(uint16_t tag, struct buf *part, struct buf *out)
{
    buf_put_u16(out, tag);
    buf_put_u32(out, (uint32_t)part->n);
    buf_put(out, part->p, part->n);
    buf_clear(part);
}

static void put_sections(const struct seg_footer *f, struct arena *a, struct buf *part)
{
    struct buf raw;
    buf_init(&raw, SIZE_MAX);
    size_t stride = sizeof(*f->section);
    buf_put_varint(&raw, f->n_sections);
    members_put(f->section, stride, f->n_sections, section_members, N_MEMBERS(section_members), a,
                &raw);
    strings_put(f->section, stride, f->n_sections, offsetof(struct seg_section, org), a, &raw);
    strings_put(f->section, stride, f->n_sections, offsetof(struct seg_section, stream), a, &raw);
    zipped_put(buf_str(&raw), a, part);
    buf_release(&raw);
}

enum err segment_footer_put(const struct seg_footer *f, uint64_t offset, struct arena *scratch,
                            struct buf *out)
{
    if (f->n_sections > SECTIONS_MAX || f->n_ids > IDS_MAX)
        return err_set(ERR_LIMIT, "a segment is limited to %d sections", SECTIONS_MAX);
    struct buf part;
    buf_init(&part, UINT32_MAX);
    size_t start = out->n;
    buf_put_u64(&part, f->id);
    buf_put_u32(&part, f->level);
    buf_put_u64(&part, (uint64_t)f->created_ns);
    buf_put_u64(&part, f->position_min);
    buf_put_u64(&part, f->position_max);
    put_part(FOOT_IDENT | FOOT_MUST, &part, out);
    put_sections(f, scratch, &part);
    put_part(FOOT_SECTIONS | FOOT_MUST, &part, out);
    if (f->n_ids) {
        buf_put_varint(&part, f->n_ids);
        members_put(f->ids, sizeof(*f->ids), f->n_ids, ids_members, N_MEMBERS(ids_members), scratch,
                    &part);
        put_part(FOOT_IDS, &part, out);
    }
    buf_put_str(&part, f->words);
    put_part(FOOT_WORDS, &part, out);
    buf_release(&part);
    size_t length = out->n - start;
    uint64_t sum = hash64(str_of(out->p + start, length));
    size_t trailer = out->n;
    buf_put_u64(out, offset);
    buf_put_u32(out, (uint32_t)length);
    buf_put_u16(out, SEGMENT_VERSION);
    buf_put_u16(out, 0);
    buf_put_u64(out, sum);
    buf_put_u64(out, hash64(str_of(out->p + trailer, 24)));
    buf_put(out, SEGMENT_MAGIC, 8);
    return OK;
}

/* ---- reading ---- */

enum err segment_trailer_read(struct str bytes, uint64_t file_bytes, uint64_t *ret_offset,
                              uint32_t *ret_length, uint64_t *ret_sum)
{
    struct reader r = reader_of(bytes);
    uint64_t offset = read_u64(&r);
    uint32_t length = read_u32(&r);
    uint16_t version = read_u16(&r);
    read_u16(&r);
    uint64_t sum = read_u64(&r), own = read_u64(&r);
    struct str magic = read_bytes(&r, 8);
    if (r.bad || !str_eq_c(magic, SEGMENT_MAGIC))
        return corrupt("it does not end as one: cut off or overwritten");
    if (own != hash64(str_of(bytes.p, 24)))
        return corrupt("bad checksum of the trailer");
    if (version != SEGMENT_VERSION)
        return err_set(ERR_UNSUPPORTED, "segment of format %u; this program reads %d", version,
                       SEGMENT_VERSION);
    if (offset < SEGMENT_HEADER_BYTES || offset > file_bytes ||
        file_bytes - offset != (uint64_t)length + SEGMENT_TRAILER_BYTES)
        return corrupt("the footer is not where the trailer says");
    *ret_offset = offset;
    *ret_length = length;
    *ret_sum = sum;
    return OK;
}

static enum err read_ident(struct reader *r, struct seg_footer *f)
{
    f->id = read_u64(r);
    f->level = read_u32(r);
    f->created_ns = (int64_t)read_u64(r);
    f->position_min = read_u64(r);
    f->position_max = read_u64(r);
    return r->bad || reader_left(r) || f->id == 0 ? corrupt("bad identity") : OK;
}

static bool section_good(const struct seg_section *s, uint64_t footer_at)
{
    return s->offset >= SEGMENT_HEADER_BYTES && s->offset <= s->tail_offset &&
           s->tail_offset <= footer_at && s->tail_length <= footer_at - s->tail_offset &&
           s->tail_length >= SEGMENT_TAIL_HEAD_BYTES && s->blocks > 0 && s->time_min <= s->time_max;
}

static enum err read_sections(struct reader *r, uint64_t footer_at, struct arena *a,
                              struct seg_footer *f)
{
    struct str raw;
    TRY(zipped_read(r, a, &raw));
    struct reader in = reader_of(raw);
    uint64_t n = read_varint(&in);
    if (in.bad || n > SECTIONS_MAX || n > footer_at / SEGMENT_TAIL_HEAD_BYTES)
        return corrupt("bad number of sections");
    size_t stride = sizeof(struct seg_section);
    f->section = ARENA_TRY_ARRAY(a, struct seg_section, n + 1);
    if (!f->section)
        return err_set(ERR_NOMEM, "no memory for %llu sections", (unsigned long long)n);
    f->n_sections = (uint32_t)n;
    memset(f->section, 0, stride * n);
    TRY(members_read(&in, f->section, stride, f->n_sections, section_members,
                     N_MEMBERS(section_members), a));
    TRY(strings_read(&in, f->section, stride, f->n_sections, offsetof(struct seg_section, org), a));
    TRY(strings_read(&in, f->section, stride, f->n_sections, offsetof(struct seg_section, stream),
                     a));
    if (reader_left(&in) || reader_left(r))
        return corrupt("bytes left over in the table of sections");
    for (uint32_t i = 0; i < f->n_sections; i++)
        if (!section_good(&f->section[i], footer_at))
            return corrupt("bad section");
    return OK;
}

static enum err read_ids(struct reader *r, uint64_t footer_at, struct arena *a,
                         struct seg_footer *f)
{
    uint64_t n = read_varint(r);
    if (r->bad || n > IDS_MAX)
        return corrupt("bad number of id filters");
    f->ids = ARENA_TRY_ARRAY(a, struct seg_ids, n + 1);
    if (!f->ids)
        return err_set(ERR_NOMEM, "no memory for %llu id filters", (unsigned long long)n);
    memset(f->ids, 0, sizeof(*f->ids) * n);
    f->n_ids = (uint32_t)n;
    TRY(members_read(r, f->ids, sizeof(*f->ids), f->n_ids, ids_members, N_MEMBERS(ids_members), a));
    for (uint32_t i = 0; i < f->n_ids; i++)
        if (f->ids[i].offset > footer_at || f->ids[i].length > footer_at - f->ids[i].offset)
            return corrupt("bad place of an id filter");
    return reader_left(r) ? corrupt("bytes left over behind the id filters") : OK;
}

static enum err read_part(uint16_t tag, struct str bytes, uint64_t footer_at, struct arena *a,
                          struct seg_footer *f)
{
    struct reader r = reader_of(bytes);
    switch (tag & ~FOOT_MUST) {
    case FOOT_IDENT:
        return read_ident(&r, f);
    case FOOT_SECTIONS:
        return read_sections(&r, footer_at, a, f);
    case FOOT_IDS:
        return read_ids(&r, footer_at, a, f);
    case FOOT_WORDS:
        f->words = bytes;
        return OK;
    default:
        if (tag & FOOT_MUST)
            return err_set(ERR_UNSUPPORTED,
                           "segment holds a part %u that this program does not know and must",
                           tag & ~FOOT_MUST);
        return OK;
    }
}

enum err segment_footer_read(struct str bytes, uint64_t sum, uint64_t offset, struct arena *a,
                             struct seg_footer *ret)
{
    if (sum != hash64(bytes))
        return corrupt("bad checksum of the footer");
    struct seg_footer f = {0};
    for (struct reader r = reader_of(bytes); reader_left(&r);) {
        uint16_t tag = read_u16(&r);
        struct str part = read_bytes(&r, read_u32(&r));
        if (r.bad)
            return corrupt("a part of the footer is cut off");
        TRY(read_part(tag, part, offset, a, &f));
    }
    if (!f.id || !f.section)
        return corrupt("the footer lacks a part");
    *ret = f;
    return OK;
}
