/* How long a folder of many segments takes to open: `bench_open DIR [SEGMENTS]`. DIR must not be
 * there; it is filled by so many cuts (10,000) of some records of a few streams, with no compaction
 * between them. Printed: milliseconds until the store is open, and until a first snapshot has
 * listed every block, for which each section's tail is read. */
#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "record/frame.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 5, RECORDS = 4, STREAMS = 5, STREAMS_EVERY = 100 };

static void must(enum err err, const char *what)
{
    if (err == OK)
        return;
    fprintf(stderr, "%s: %s\n", what, err_text());
    exit(1);
}

static struct blob *frame_of(uint64_t segment, const char *stream)
{
    struct batch *b = batch_new();
    struct buf out;
    int64_t now = clock_now_ns();
    char text[80];
    for (unsigned i = 0; i < RECORDS; i++) {
        batch_begin(b);
        batch_int(b, STR("n"), (int64_t)segment);
        int n = snprintf(text, sizeof(text), "segment %llu record %u of a few",
                         (unsigned long long)segment, i);
        batch_text(b, STR("message"), LANE_STR, str_of(text, (size_t)n));
        batch_end(b, now + i, str_of(text, (size_t)n));
    }
    struct frame_info info = {
        .org = STR("default"), .stream = str_c(stream), .parts = 1, .arrival_ns = now};
    buf_init(&out, 64 << 20);
    must(frame_encode(b, &info, &out), "frame");
    batch_free(b);
    return blob_take(out.p, out.n, OWNER_QUEUE);
}

static void open_store(const char *dir, struct catalog **ret_catalog, struct store **ret)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/catalog.db", dir);
    must(catalog_open_sqlite(path, ret_catalog), path);
    struct store_options o = {.dir = dir,
                              .catalog = *ret_catalog,
                              .block_rows = 65536,
                              .block_bytes = 64 << 20,
                              .cut_bytes = 64 << 20,
                              .cut_queue_bytes = 1 << 30,
                              .cut_interval_ns = 3600 * NS_PER_S,
                              .memtable_max = 256 << 20,
                              .compact_files = 1000,
                              .compact_zstd_level = 3,
                              .id_window_ns = NS_PER_DAY,
                              .ids_max = 1000000};
    must(store_open(&o, ret), dir);
}

static void fill(const char *dir, uint64_t segments)
{
    static const char *const stream[STREAMS] = {"app", "nginx", "audit", "pay", "cart"};
    struct catalog *catalog;
    struct store *store;
    uint64_t position = 1;
    open_store(dir, &catalog, &store);
    for (uint64_t i = 0; i < segments; i++) {
        unsigned n = i % STREAMS_EVERY ? 1 : STREAMS;
        for (unsigned k = 0; k < n; k++) {
            struct blob *frame = frame_of(i, stream[k]);
            store_deliver(store, &frame, 1, position++);
            blob_unref(frame);
        }
        must(store_flush(store), "cut");
    }
    store_close(store);
    catalog_close(catalog);
}

static int ms_cmp(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_open DIR [SEGMENTS]\n");
        return 2;
    }
    log_set_level(LOG_ERROR);
    must(io_mkdir(argv[1]), argv[1]);
    fill(argv[1], argc > 2 ? strtoull(argv[2], NULL, 10) : 10000);
    double opened[ROUNDS], listed[ROUNDS];
    size_t blocks = 0;
    struct store_stats stats = {0};
    for (int i = 0; i < ROUNDS; i++) {
        struct catalog *catalog;
        struct store *store;
        struct snapshot *snapshot;
        struct snapshot_want want = {.org = STR("default"), .from = INT64_MIN, .to = INT64_MAX};
        int64_t begun = clock_mono_ns();
        open_store(argv[1], &catalog, &store);
        opened[i] = (double)(clock_mono_ns() - begun) / 1e6;
        must(snapshot_open(store, &want, &snapshot), "snapshot");
        listed[i] = (double)(clock_mono_ns() - begun) / 1e6;
        (void)snapshot_blocks(snapshot, &blocks);
        store_stats(store, &stats);
        snapshot_close(snapshot);
        store_close(store);
        catalog_close(catalog);
    }
    qsort(opened, ROUNDS, sizeof(*opened), ms_cmp);
    qsort(listed, ROUNDS, sizeof(*listed), ms_cmp);
    printf("segments %llu blocks %zu open_ms %.0f listed_ms %.0f\n",
           (unsigned long long)stats.segments, blocks, opened[ROUNDS / 2], listed[ROUNDS / 2]);
    return 0;
}
