/* An SQLite VFS that keeps a diary: every write, truncation, sync and deletion, in order. From it the disk can be made
 * as a power loss at any moment would have left it: what was synced is there; of what was not, each write is there,
 * lost, or torn at a sector, in any combination. The file system below is not asked to forget anything: the disk
 * after the loss is written anew into another directory. */
#ifndef PAWL_TESTS_STORE_POWER_VFS_H
#define PAWL_TESTS_STORE_POWER_VFS_H

#include <stddef.h>
#include <stdint.h>

/* From here on SQLite's default VFS keeps the diary of files below `dir`. */
void power_start(const char *dir);
/* The default VFS is the ordinary one again. The diary stays. */
void power_stop(void);
/* Entries so far: a moment. */
size_t power_now(void);
/* Writes into the empty directory `into` what a power loss after `moment` entries can have left of `dir`. `seed`
 * chooses what became of each write that was not synced. */
void power_lose(size_t moment, uint64_t seed, const char *into);
void power_forget(void);

#endif
