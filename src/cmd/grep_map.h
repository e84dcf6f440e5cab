/* Large plain files are mapped and not read: to copy them costs as much as to search them.
 *
 * Where a file shrinks meanwhile (copytruncate), its pages are gone and to look at one raises
 * SIGBUS. The handler that the first mapping installs puts a page of zeros in the place of such a
 * page, if it is of a mapping of these, and notes that; other faults end the process as before.
 * Threads: any; a mapping is made and released by one at a time. */
#ifndef WEIR_CMD_GREP_MAP_H
#define WEIR_CMD_GREP_MAP_H

#include <stdbool.h>
#include <stddef.h>

struct grep_map; /* one of a fixed number */

/* The first n bytes of the file, behind which a page is readable; NULL: it is to be read. */
struct grep_map *grep_map_open(int fd, size_t n);
const char *grep_map_bytes(const struct grep_map *m);
bool grep_map_shrank(const struct grep_map *m);
void grep_map_close(struct grep_map *m); /* NULL is fine */

#endif
