/* SQLite's files through Weir's fault layer. */
#ifndef WEIR_CATALOG_SQLITE_VFS_H
#define WEIR_CATALOG_SQLITE_VFS_H

/* The name of a VFS over SQLite's own that counts with, and obeys, core/fault.h. Registered at the
 * first call; costs one branch a call where no fault plan is set. Threads: any. */
const char *sqlite_vfs_name(void);

#endif
