/* How far each file has been read: entries in memory, a file that people can read on disk, and the
 * same lines as notes in the spool (pipeline/spool.h).
 *
 *   # weir agent positions, version 1
 *   # device inode head-bytes head-hash offset tail-hash records at state path
 *   spool 5e...01 1234       notes before this position of the spool of that epoch are in this file
 *   retired 5678             records of files that are forgotten
 *   dropped 12               records that transforms dropped before the spool
 *   2049 131 256 9f...e1 88431 77...02 912 2026-11-21T10:00:00Z open /var/log/app.log
 *
 *   journal 77 CURSOR        records of systemd's journal, and how far it is read
 *
 * Fields are parted by a space; the path is last, with \n and \\ for a line feed and a backslash.
 * An entry's file is known again by device, inode and the hash of its first `head-bytes` bytes (at
 * most TAIL_MARK); that it was not written anew since, or that another file is a copy of it, by the
 * hash of the TAIL_MARK bytes (or what there is) before the offset.
 * In a container's file two streams are mixed, and one may be ahead of the offset, which is where a
 * line of the other begins that is not whole yet: the state is then "open,stdout=90112".
 * Owner: one thread. */
#ifndef WEIR_INPUT_TAIL_POSITIONS_H
#define WEIR_INPUT_TAIL_POSITIONS_H

#include "core/buf.h"
#include "core/err.h"

enum { TAIL_MARK = 256, TAIL_STREAMS = 2, TAIL_CURSOR_MAX = 512 };

struct tail_entry {
    uint64_t device, inode;
    uint32_t head_bytes;
    uint64_t head_hash;
    uint64_t offset; /* everything below was handed on; of the plain bytes where it is packed */
    uint64_t tail_hash;
    uint64_t ahead[TAIL_STREAMS]; /* beyond the offset, of one stream: so far it is handed on */
    uint64_t records;
    int64_t at_ns; /* when something was read last */
    bool gone;     /* no file is open for it: kept to know copies by */
    char *path;
};

struct tail_positions {
    struct tail_entry *entry;
    size_t n, cap;
    uint64_t epoch, spool;
    uint64_t retired, dropped;
    char journal[TAIL_CURSOR_MAX]; /* empty: none */
    uint64_t journal_records;
};

void tail_positions_release(struct tail_positions *p);
/* Without a file: empty. ERR_CORRUPT names the line. */
NODISCARD enum err tail_positions_load(struct tail_positions *p, const char *file);
NODISCARD enum err tail_positions_save(const struct tail_positions *p, const char *file);
/* By device and inode; SIZE_MAX when there is none. */
size_t tail_positions_find(const struct tail_positions *p, uint64_t device, uint64_t inode);
/* Takes the place of the entry with that device and inode, or adds one. The path is copied. */
void tail_positions_put(struct tail_positions *p, const struct tail_entry *e);
void tail_positions_remove(struct tail_positions *p, size_t index);
/* An entry as a line; and the lines of a note into the entries. */
void tail_entry_write(const struct tail_entry *e, struct buf *out);
void tail_journal_write(const char *cursor, uint64_t records, struct buf *out); /* likewise */
NODISCARD enum err tail_positions_read(struct tail_positions *p, struct str lines,
                                       const char *name);

#endif
