/* A shim over SQLite's own VFS for Unix. It passes everything on; under a fault plan (core/fault.h)
 * each call that changes the disk is counted, can be made to fail, and is noted before it happens,
 * so that a crash can take back what was not synced.
 *
 * What the layer beneath does on its own and the shim must know: it creates a file at open without
 * syncing the folder, and syncs the folder at the first sync of a new journal or WAL, and at a
 * delete when asked to. The shim counts such a folder's sync with the file's: SQLite relies on it
 * just as much.
 *
 * Its methods are of version 1: no shared memory, hence no second process on a WAL database, and no
 * memory mapping, so that no write goes past it. sqlite.c needs neither, as it locks exclusively.
 */
#include "catalog/sqlite_vfs.h"

#include "core/err.h"
#include "core/fault.h"
#include "core/str.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

struct shim_file {
    sqlite3_file base;
    const char *path;     /* SQLite keeps it while the file is open; NULL: a temporary one */
    bool sync_folder;     /* the layer beneath will sync the folder at the first sync */
    sqlite3_file inner[]; /* the real one, of szOsFile bytes */
};

static sqlite3_vfs *real_vfs(void)
{
    static sqlite3_vfs *vfs;
    if (!vfs)
        vfs = sqlite3_vfs_find("unix");
    return vfs;
}

static struct shim_file *shim_of(sqlite3_file *f)
{
    return (struct shim_file *)f;
}

/* Is a plan set that this file takes part in? */
static bool watched(const struct shim_file *f)
{
    return fault_active() && f->path;
}

static int sqlite_code(enum err err, int otherwise)
{
    return err == ERR_FULL ? SQLITE_FULL : otherwise;
}

static void sync_folder_of(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    fault_note_sync_dir(dir);
}

static int shim_close(sqlite3_file *file)
{
    struct shim_file *f = shim_of(file);
    return f->inner->pMethods ? f->inner->pMethods->xClose(f->inner) : SQLITE_OK;
}

static int shim_read(sqlite3_file *file, void *p, int n, sqlite3_int64 off)
{
    struct shim_file *f = shim_of(file);
    if (watched(f)) {
        fault_lock();
        enum err err = fault_step(FAULT_OP_READ, f->path, NULL);
        fault_unlock();
        if (err != OK)
            return SQLITE_IOERR_READ;
    }
    return f->inner->pMethods->xRead(f->inner, p, n, off);
}

static int shim_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 off)
{
    struct shim_file *f = shim_of(file);
    if (!watched(f))
        return f->inner->pMethods->xWrite(f->inner, p, n, off);
    fault_lock();
    size_t part = (size_t)n;
    enum err err = fault_step(FAULT_OP_WRITE, f->path, &part);
    int rc = SQLITE_OK;
    if (part) {
        fault_note_write(-1, f->path, (uint64_t)off, part);
        rc = f->inner->pMethods->xWrite(f->inner, p, (int)part, off);
    }
    fault_unlock();
    return err != OK ? sqlite_code(err, SQLITE_IOERR_WRITE) : rc;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct shim_file *f = shim_of(file);
    if (!watched(f))
        return f->inner->pMethods->xTruncate(f->inner, size);
    fault_lock();
    int rc = SQLITE_IOERR_TRUNCATE;
    if (fault_step(FAULT_OP_DROP, f->path, NULL) == OK) {
        fault_note_truncate(-1, f->path, (uint64_t)size);
        rc = f->inner->pMethods->xTruncate(f->inner, size);
    }
    fault_unlock();
    return rc;
}

static int shim_sync(sqlite3_file *file, int flags)
{
    struct shim_file *f = shim_of(file);
    if (!watched(f))
        return f->inner->pMethods->xSync(f->inner, flags);
    fault_lock();
    int rc = SQLITE_IOERR_FSYNC;
    if (fault_step(FAULT_OP_SYNC, f->path, NULL) == OK)
        rc = f->inner->pMethods->xSync(f->inner, flags);
    if (rc == SQLITE_OK) {
        fault_note_sync(-1, f->path);
        if (f->sync_folder)
            sync_folder_of(f->path);
        f->sync_folder = false;
    }
    fault_unlock();
    return rc;
}

static int shim_file_size(sqlite3_file *file, sqlite3_int64 *ret)
{
    return shim_of(file)->inner->pMethods->xFileSize(shim_of(file)->inner, ret);
}

static int shim_lock(sqlite3_file *file, int level)
{
    return shim_of(file)->inner->pMethods->xLock(shim_of(file)->inner, level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
    return shim_of(file)->inner->pMethods->xUnlock(shim_of(file)->inner, level);
}

static int shim_check_lock(sqlite3_file *file, int *ret)
{
    return shim_of(file)->inner->pMethods->xCheckReservedLock(shim_of(file)->inner, ret);
}

/* Hints that would write behind the shim's back are declined; SQLite does without. */
static int shim_control(sqlite3_file *file, int op, void *arg)
{
    if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE ||
        op == SQLITE_FCNTL_MMAP_SIZE)
        return SQLITE_NOTFOUND;
    return shim_of(file)->inner->pMethods->xFileControl(shim_of(file)->inner, op, arg);
}

static int shim_sector_size(sqlite3_file *file)
{
    return shim_of(file)->inner->pMethods->xSectorSize(shim_of(file)->inner);
}

static int shim_characteristics(sqlite3_file *file)
{
    return shim_of(file)->inner->pMethods->xDeviceCharacteristics(shim_of(file)->inner);
}

/* The index of a WAL that several processes share: memory, made anew after a crash, and so no
 * business of a fault plan. */
static int shim_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret)
{
    sqlite3_file *inner = shim_of(file)->inner;
    return inner->pMethods->xShmMap(inner, page, size, extend, ret);
}

static int shim_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    sqlite3_file *inner = shim_of(file)->inner;
    return inner->pMethods->xShmLock(inner, offset, n, flags);
}

static void shim_shm_barrier(sqlite3_file *file)
{
    shim_of(file)->inner->pMethods->xShmBarrier(shim_of(file)->inner);
}

static int shim_shm_unmap(sqlite3_file *file, int remove)
{
    return shim_of(file)->inner->pMethods->xShmUnmap(shim_of(file)->inner, remove);
}

static const sqlite3_io_methods shim_methods = {
    .iVersion = 2,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_file_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_check_lock,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector_size,
    .xDeviceCharacteristics = shim_characteristics,
};

static int open_inner(const char *path, struct shim_file *f, int flags, int *ret)
{
    if (!fault_active() || !path || !(flags & SQLITE_OPEN_CREATE))
        return real_vfs()->xOpen(real_vfs(), path, f->inner, flags, ret);
    fault_lock();
    enum err err = access(path, F_OK) != 0 ? fault_step(FAULT_OP_NAME, path, NULL) : OK;
    int rc = sqlite_code(err, SQLITE_CANTOPEN);
    if (err == OK) {
        fault_note_create(path);
        rc = real_vfs()->xOpen(real_vfs(), path, f->inner, flags, ret);
    }
    fault_unlock();
    return rc;
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret)
{
    struct shim_file *f = shim_of(file);
    memset(f, 0, sizeof(*f));
    f->path = path;
    f->sync_folder =
        flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL);
    f->inner->pMethods = NULL;
    int rc = open_inner(path, f, flags, ret);
    /* Without methods SQLite does not call xClose. */
    f->base.pMethods = f->inner->pMethods ? &shim_methods : NULL;
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
    if (!fault_active())
        return real_vfs()->xDelete(real_vfs(), path, sync_dir);
    fault_lock();
    int rc = SQLITE_IOERR_DELETE;
    if (fault_step(FAULT_OP_DROP, path, NULL) == OK) {
        fault_note_unlink(path);
        rc = real_vfs()->xDelete(real_vfs(), path, sync_dir);
        if (rc == SQLITE_OK && sync_dir)
            sync_folder_of(path);
    }
    fault_unlock();
    return rc;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
    return real_vfs()->xAccess(real_vfs(), path, flags, ret);
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int n, char *out)
{
    return real_vfs()->xFullPathname(real_vfs(), path, n, out);
}

static int vfs_randomness(sqlite3_vfs *vfs, int n, char *out)
{
    return real_vfs()->xRandomness(real_vfs(), n, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    return real_vfs()->xSleep(real_vfs(), us);
}

static int vfs_time(sqlite3_vfs *vfs, double *ret)
{
    return real_vfs()->xCurrentTime(real_vfs(), ret);
}

static int vfs_last_error(sqlite3_vfs *vfs, int n, char *out)
{
    return real_vfs()->xGetLastError ? real_vfs()->xGetLastError(real_vfs(), n, out) : 0;
}

static sqlite3_vfs shim_vfs = {
    .iVersion = 1,
    .zName = "weir",
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full_path,
    .xRandomness = vfs_randomness,
    .xSleep = vfs_sleep,
    .xCurrentTime = vfs_time,
    .xGetLastError = vfs_last_error,
};

static void register_shim(void)
{
    CHECK(sqlite3_initialize() == SQLITE_OK && real_vfs());
    shim_vfs.szOsFile = (int)sizeof(struct shim_file) + real_vfs()->szOsFile;
    shim_vfs.mxPathname = real_vfs()->mxPathname;
    CHECK(sqlite3_vfs_register(&shim_vfs, 0) == SQLITE_OK);
}

const char *sqlite_vfs_name(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_shim);
    return shim_vfs.zName;
}
