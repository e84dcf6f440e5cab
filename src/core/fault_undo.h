/* The undo log of a crash plan; fault.h describes its rules, fault_undo.c how they are kept. Used
 * by fault.c alone, under its lock. */
#ifndef WEIR_CORE_FAULT_UNDO_H
#define WEIR_CORE_FAULT_UNDO_H

#include <stddef.h>
#include <stdint.h>

void undo_reset(void);
/* fd -1: by path. */
void undo_note_write(int fd, const char *path, uint64_t off, size_t n);
void undo_note_truncate(int fd, const char *path, uint64_t size);
void undo_note_create(const char *path);
void undo_note_rename(const char *from, const char *to);
void undo_note_unlink(const char *path);
void undo_forget_file(int fd, const char *path);
void undo_forget_dir(const char *path);
/* Makes the files what a power cut could have left. */
void undo_apply(uint64_t seed);

#endif
