/* The log file's reader on bytes from outside. The input is the entries' part of a file and, in its
 * first bytes, how the file is to be taken: as the last or not, where it ends. A fuzzer cannot
 * guess checksums, so wherever an entry's magic stands at a multiple of 8 the two checksums are put
 * right, unless the first of the payload's hash bytes asks for a damaged one: so it plays with
 * lengths, positions, parts and order. What must hold: whole bodies only, ascending, within bounds;
 * settled regions in order and apart. */
#include "core/hash.h"
#include "queue/wal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SALT = 77, OPTION_BYTES = 4, INPUT_MAX = 64 << 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct state {
    uint64_t next;    /* the least position that may come */
    uint64_t limit;   /* and the first that may not */
    uint64_t settled; /* bytes before this were reported as damaged */
    uint64_t size;
};

static void on_body(void *ctx, struct blob *const *frame, uint32_t n, uint64_t first)
{
    struct state *s = ctx;
    CHECK(n > 0 && first >= s->next && n <= s->limit - first);
    s->next = first + n;
    for (uint32_t i = 0; i < n; i++)
        CHECK(frame[i]->bytes.n < s->size);
}

static void on_damaged(void *ctx, uint64_t from, uint64_t to, uint64_t entries)
{
    struct state *s = ctx;
    CHECK(from >= s->settled && from <= to && to <= s->size && entries > 0);
    s->settled = to;
}

/* Makes the entry at `at`, if that is what it is, valid. */
static void mend_entry(char *file, size_t size, size_t at)
{
    struct wal_entry e;
    if (at + WAL_ENTRY_BYTES > size || memcmp(file + at, "WEN1", 4) != 0 || file[at + 24] == 'X')
        return;
    memcpy(&e.length, file + at + 4, 4);
    memcpy(&e.position, file + at + 8, 8);
    memcpy(&e.part, file + at + 16, 4);
    memcpy(&e.parts, file + at + 20, 4);
    if (e.parts == 0) /* a mark */
        wal_entry_encode(&(struct wal_entry){.position = e.position}, SALT, at, file + at);
    if (e.parts == 0 || e.parts > WAL_PARTS_MAX || e.part >= e.parts || e.length > WAL_PAYLOAD_MAX)
        return;
    size_t left = size - at - WAL_ENTRY_BYTES;
    e.hash = hash64(str_of(file + at + WAL_ENTRY_BYTES, e.length < left ? e.length : left));
    wal_entry_encode(&e, SALT, at, file + at);
}

static int make_file(const char *bytes, size_t size)
{
    int fd = memfd_create("fuzz_queue", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    return fd;
}

static void read_once(int fd, size_t size, const uint8_t *options)
{
    struct state s = {.next = 1, .limit = UINT64_MAX, .size = size};
    struct wal_visitor v = {.ctx = &s, .body = on_body, .damaged = on_damaged};
    struct wal_span span = {
        .fd = fd, .salt = SALT, .end = size, .last = options[0] & 1, .position_min = 1};
    if (options[0] & 2)
        span.end -= options[1] < size ? options[1] : 0;
    span.position_limit = s.limit = options[0] & 4 ? 2 + (uint64_t)options[2] : UINT64_MAX;
    struct wal_result r;
    CHECK(wal_read(&span, &v, &r) == OK);
    CHECK(r.end >= s.settled && r.end + r.torn_bytes <= (size > WAL_START ? size : WAL_START));
    CHECK(r.next_position >= s.next);
    CHECK(span.last || r.torn_bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < OPTION_BYTES || size > INPUT_MAX)
        return 0;
    size_t n = WAL_START + size - OPTION_BYTES;
    char *file = calloc(1, n);
    CHECK(file);
    wal_header_encode(&(struct wal_header){.first_position = 1, .salt = SALT}, file);
    memcpy(file + WAL_START, data + OPTION_BYTES, size - OPTION_BYTES);
    /* From the end, as an entry's hash covers those within its payload. */
    for (size_t at = n / 8 * 8; at >= WAL_START; at -= 8)
        mend_entry(file, n, at);
    int fd = make_file(file, n);
    read_once(fd, n, data);
    close(fd);
    /* And the bytes as a whole file, header and all. */
    fd = make_file((const char *)data, size);
    struct wal_header h;
    enum err err = wal_header_read(fd, "input", &h);
    CHECK(err == OK || err == ERR_CORRUPT || err == ERR_UNSUPPORTED);
    close(fd);
    free(file);
    return 0;
}
