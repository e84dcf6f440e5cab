/* File I/O. Every file that Weir writes goes through here, and so can be made to fail: a fault plan
 * makes the Nth call fail with an errno, write short, or end the process as a power cut would,
 * losing what was not synced (see fault.h). SQLite's files come through the same counters by a VFS.
 * Paths are NUL-terminated. Threads: any; one file descriptor's writes are the caller's to order.
 */
#ifndef WEIR_CORE_IO_H
#define WEIR_CORE_IO_H

#include "core/buf.h"
#include "core/err.h"

#include <sys/types.h>

enum io_mode {
    IO_READ,
    IO_WRITE,  /* create or open for reading and writing */
    IO_CREATE, /* must not exist */
    IO_DIRECT, /* exists; writes go past the page cache: whole pages of 4 KiB, in memory too */
};

/* Files are made with mode 0640. ERR_NOTFOUND, ERR_EXISTS, ERR_FULL tell what they say. */
NODISCARD enum err io_open(const char *path, enum io_mode mode, int *ret_fd);
void io_close(int fd); /* -1 is fine */
/* Reads exactly n bytes at `off`; ERR_EOF when the file ends before. */
NODISCARD enum err io_pread(int fd, void *p, size_t n, uint64_t off);
/* The same where the device may be bad: a read that fails costs only the pages it concerns, which
 * come as zeros. *lost is increased by their bytes, *lost_end set behind the last of them (both are
 * left alone when there are none). ERR_IO when *lost comes to more than `lost_max`. */
NODISCARD enum err io_pread_around(int fd, void *p, size_t n, uint64_t off, uint64_t lost_max,
                                   uint64_t *lost, uint64_t *lost_end);
NODISCARD enum err io_pwrite(int fd, const void *p, size_t n, uint64_t off);
struct iovec;
/* Writes all of the vector at `off`; modifies iov. On failure some of it may be in the file. */
NODISCARD enum err io_pwritev(int fd, struct iovec *iov, int count, uint64_t off);
NODISCARD enum err io_sync(int fd); /* fdatasync */
NODISCARD enum err io_truncate(int fd, uint64_t size);
NODISCARD enum err io_allocate(int fd, uint64_t size); /* posix_fallocate from 0; keeps contents */
NODISCARD enum err io_size(int fd, uint64_t *ret);
NODISCARD enum err io_rename(const char *from, const char *to); /* does not sync the folder */
NODISCARD enum err io_unlink(const char *path);                 /* absent is OK */
NODISCARD enum err io_sync_dir(const char *path);
/* With parents; existing is OK. Each new folder is durable: its parent is synced. */
NODISCARD enum err io_mkdir(const char *path);
bool io_exists(const char *path);
/* Whether `path` still names the open file: it was not removed, moved or replaced. */
bool io_is_at(int fd, const char *path);
/* Whole files. *ret is initialised here; release it. A larger file than max is ERR_LIMIT. */
NODISCARD enum err io_read_file(const char *path, size_t max, struct buf *ret);
/* PATH.tmp, sync, rename, sync of the folder: after a crash the file is the old or the new one. One
 * writer a path at a time. */
NODISCARD enum err io_write_file(const char *path, struct str bytes);
/* Calls fn for each name in a folder (not "." and ".."), in sorted order, until it fails. */
NODISCARD enum err io_list(const char *path, enum err (*fn)(void *ctx, const char *name),
                           void *ctx);
/* Bytes free to us and in total on the file system of `path`. */
NODISCARD enum err io_disk_space(const char *path, uint64_t *ret_free, uint64_t *ret_total);

#endif
