/* What the encoder of blocks costs, alone: `bench_encode FILE [ROUNDS [LEVEL]]`. The file's records
 * (a JSON object a line) are decoded to frames as if they had been sent in bodies of 8 MB; then
 * blocks of what a block just taken in holds are merged of them, at the level of ingest or another
 * one of zstd. Printed: the CPU of the fastest round, in ns a record and MB of the file a second,
 * the bytes of all blocks, and a hash of them, by which two builds that should write the same are
 * told apart. `valgrind --tool=callgrind --toggle-collect=merge_run` counts the instructions. */
#include "core/blob.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"
#include "record/frame.h"
#include "store/block_dir.h"
#include "store/merge.h"
#include "wire/decode.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FILE_BYTES_MAX ((size_t)1 << 30)
#define ARRIVAL_S ((int64_t)1700000000)
enum { BODY_BYTES = 8 << 20, BLOCK_BYTES = 20 << 20, BLOCK_ROWS = 262144 };

struct frames {
    struct str *frame;
    struct merge_source *source;
    size_t n, cap, cap_sources;
    int64_t arrival;
    uint64_t bytes, hash; /* of the blocks */
};

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(enum err err, const char *what)
{
    if (err == OK)
        return;
    fprintf(stderr, "%s: %s\n", what, err_text());
    exit(1);
}

static enum err take(void *ctx, struct batch *b)
{
    struct frames *f = ctx;
    struct buf out;
    struct frame_info info = {
        .org = STR("default"), .stream = STR("bench"), .arrival_ns = f->arrival, .parts = 1};
    if (!batch_rows(b))
        return OK;
    buf_init(&out, 64 << 20);
    TRY(frame_encode(b, &info, &out));
    ARRAY_GROW(f->frame, f->cap, f->n + 1);
    ARRAY_GROW(f->source, f->cap_sources, f->n + 1);
    f->frame[f->n] = buf_str(&out);
    uint32_t rows;
    int64_t first, last;
    TRY(frame_peek(f->frame[f->n], &info, &rows, &first, &last));
    f->source[f->n++] = (struct merge_source){first, last, rows, batch_raw_bytes(b)};
    return OK;
}

static void refuse(void *ctx, uint32_t position, struct str raw, const char *reason)
{
    (void)ctx;
    fprintf(stderr, "record %u (%zu bytes): %s\n", position, raw.n, reason);
}

static uint64_t decode(const char *path, struct frames *f, size_t *ret_bytes)
{
    static const struct json_limits limits = {.record_bytes = 8 << 20, .nesting = 128};
    struct buf file;
    must(io_read_file(path, FILE_BYTES_MAX, &file), path);
    CHECK(buf_reserve(&file, JSON_PADDING));
    struct wire_decoder *d = wire_decoder_new(&limits);
    struct wire_sink sink = {.ctx = f, .batch = take, .refused = refuse};
    uint64_t records = 0;
    for (size_t at = 0, end; at < file.n; at = end) {
        end = at + BODY_BYTES < file.n ? at + BODY_BYTES : file.n;
        const char *line = end < file.n ? memchr(file.p + end, '\n', file.n - end) : NULL;
        end = line ? (size_t)(line - file.p) + 1 : file.n;
        uint32_t n;
        f->arrival = ARRIVAL_S * NS_PER_S + (int64_t)at;
        must(wire_decode(d, WIRE_NDJSON, str_of(file.p + at, end - at), f->arrival, &sink, &n),
             path);
        records += n;
    }
    *ret_bytes = file.n;
    wire_decoder_free(d);
    buf_release(&file);
    return records;
}

struct group {
    struct frames *f;
    size_t first;
};

static enum err open_frame(void *ctx, uint32_t i, struct arena *a, struct rows *ret)
{
    const struct group *g = ctx;
    struct frame_info info;
    return frame_open(g->f->frame[g->first + i], g->first + i + 1, 0, a, &info, ret);
}

static enum err count_block(void *ctx, struct block *b)
{
    struct group *g = ctx;
    g->f->bytes += block_bytes(b);
    g->f->hash = hash64_seed(block_chunk_bytes(b), g->f->hash);
    block_unref(b);
    return OK;
}

static void encode(struct frames *f, struct gate *gate, int level)
{
    struct refs_memory *memory = refs_memory_new();
    f->bytes = f->hash = 0;
    for (size_t i = 0, end; i < f->n; i = end) {
        uint64_t bytes = 0, rows = 0;
        for (end = i; end < f->n; end++) {
            bytes += f->source[end].raw_bytes;
            rows += f->source[end].rows;
            if (end > i && (bytes > BLOCK_BYTES || rows > BLOCK_ROWS))
                break;
        }
        struct group group = {f, i};
        struct merge m = {.source = f->source + i,
                          .n = (uint32_t)(end - i),
                          .open = open_frame,
                          .emit = count_block,
                          .ctx = &group,
                          .stream = STR("bench"),
                          .block_rows = BLOCK_ROWS,
                          .block_bytes = BLOCK_BYTES,
                          .zstd_level = level,
                          .memory = level > 1 ? NULL : memory, /* as it is when blocks are merged */
                          .owner = OWNER_MEMTABLE,
                          .scratch_owner = OWNER_ENCODE,
                          .gate = gate,
                          .held = true};
        must(merge_run(&m), "merge");
    }
    refs_memory_free(memory);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: %s FILE [ROUNDS [LEVEL]]\n", argv[0]);
        return 2;
    }
    int rounds = argc > 2 ? atoi(argv[2]) : 5, level = argc > 3 ? atoi(argv[3]) : 1;
    struct frames f = {0};
    struct gate gate;
    size_t bytes;
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* as the server, which keeps what it frees for a while */
    mallopt(M_TRIM_THRESHOLD, 128 << 20);
    gate_init(&gate, 0);
    uint64_t records = decode(argv[1], &f, &bytes);
    double best = 0;
    for (int r = 0; r < rounds; r++) {
        double begun = cpu_seconds();
        encode(&f, &gate, level);
        double took = cpu_seconds() - begun;
        best = r == 0 || took < best ? took : best;
    }
    printf("%s: %llu records, %.0f ms, %.0f ns a record, %.0f MB/s, %llu bytes (1/%.1f), %016llx\n",
           argv[1], (unsigned long long)records, best * 1e3, best * 1e9 / (double)records,
           (double)bytes / 1e6 / best, (unsigned long long)f.bytes, (double)bytes / (double)f.bytes,
           (unsigned long long)f.hash);
    for (size_t i = 0; i < f.n; i++)
        mem_free((char *)f.frame[i].p);
    mem_free(f.frame);
    mem_free(f.source);
    gate_release(&gate);
    return 0;
}
