/* The container of encoded values: a header and parts, each compressed by zstd where that pays.
 * What the parts mean is the encoding's. For encodings only; others use encoding.h. Layout:
 * chunk.c. Threads: pure functions over arenas; zstd contexts are kept per thread. */
#ifndef WEIR_STORE_CHUNK_H
#define WEIR_STORE_CHUNK_H

#include "store/encoding.h"
#include "store/ints.h"

#define CHUNK_VALUES_MAX (1u << 20)
#define CHUNK_PARTS_MAX (1u << 17)
#define CHUNK_SUM_BYTES 8
/* A column's dictionary, its entries' slots, the slots of those and a dictionary in one. */
#define CHUNK_INNER_MAX 4

/* As read: */
struct chunk_part {
    struct str stored;
    uint32_t raw_n; /* length when decompressed */
    bool zstd;
    bool loaded;
    struct str raw; /* when loaded */
};
/* To be written: */
enum part_zip { ZIP_NEVER, ZIP_SAMPLE /* ask a sample first */, ZIP_TRY };
struct part_out {
    struct str raw;
    enum part_zip zip;
    struct str packed; /* compressed already, when not empty */
    int64_t min, max;  /* part_of_ints() sets them: of the integers, where there are any */
};

static inline size_t part_out_bytes(const struct part_out *p)
{
    return p->packed.n ? p->packed.n : p->raw.n;
}

/* What chunk_write() appends of them, at most. */
size_t chunk_bytes_max(const struct part_out *part, uint32_t n_parts);
/* Appends a chunk. */
NODISCARD enum err chunk_write(uint8_t encoding, uint32_t n, struct part_out *part,
                               uint32_t n_parts, const struct encode_options *o,
                               struct arena *scratch, struct buf *out);
/* chunk_open for an encoding that is no column's. */
NODISCARD enum err chunk_open_as(struct str bytes, enum chunk_trust trust, uint8_t encoding,
                                 uint32_t n, struct arena *a, struct chunk *ret);
/* A chunk that stands in `bytes` of a part of another, of the same lane. */
NODISCARD enum err chunk_open_inner(const struct chunk *outer, uint32_t part, struct str bytes,
                                    uint32_t n, struct arena *a, struct chunk *ret);
/* chunk_values for texts that are asked for again and again, as the entries of dictionaries are:
 * those of chunks in files are kept in the chunk cache as they come out. */
NODISCARD enum err chunk_values_kept(const struct chunk *c, struct arena *a, struct values *ret);
/* The sum of checksummed bytes: u64 of XXH3 over what follows. */
bool chunk_sum_ok(struct str bytes);

/* A part's bytes; ERR_CORRUPT where there is no such part or it does not decompress. */
NODISCARD enum err chunk_part_bytes(const struct chunk *c, uint32_t part, struct str *ret);

/* A part of integers: packed, or planes with zstd, whichever is smaller. */
NODISCARD enum err part_of_ints(const int64_t *v, uint32_t n, const struct encode_options *o,
                                struct arena *scratch, struct part_out *ret);
/* As part_of_ints, behind other bytes of the part. */
NODISCARD enum err part_of_ints_behind(struct str head, const int64_t *v, uint32_t n,
                                       const struct encode_options *o, struct arena *scratch,
                                       struct part_out *ret);
/* All of a part of integers that starts at `from` in it. */
NODISCARD enum err part_ints(const struct chunk *c, uint32_t part, size_t from, uint32_t n,
                             struct arena *a, int64_t **ret);
/* Those at ascending positions. */
NODISCARD enum err part_ints_get(const struct chunk *c, uint32_t part, size_t from,
                                 const uint32_t *pos, uint32_t n, struct arena *a, int64_t **ret);

/* Compresses at a level; false when it saves less than 3 %. The result lives in scratch. */
bool zip_bytes(struct str raw, int level, struct arena *scratch, struct str *ret);
/* Exactly n bytes to `to`. */
NODISCARD enum err unzip_bytes(struct str zipped, char *to, size_t n);

#endif
