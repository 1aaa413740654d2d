/* The store in memory: the same contract, judged by the same conformance suite, without a disk. For tests and
 * simulation. Thread-safe by one lock. */
#ifndef PAWL_STORE_MEMORY_STORE_MEMORY_H
#define PAWL_STORE_MEMORY_STORE_MEMORY_H

#include "store/store.h"

/* Never fails. store_close forgets everything. */
struct store *store_memory_new(void);
/* As if the process had died and the store been opened again: the epoch grows, faults are cleared. */
void store_memory_reopen(struct store *store);
/* What the next commit gives, without effect: ERROR_STORE_FULL, or ERROR_STORE_FAILED, which every later call gives
 * too. 0 takes it back. */
void store_memory_fail_next(struct store *store, enum error_code code);
/* Sets the room that status tells: LOW refuses births, NONE lets no commit in, as a full disk would. */
void store_memory_set_room(struct store *store, enum store_room room);

#endif
