/* The store in memory: the same contract, judged by the same conformance suite, without a disk. For tests and
 * simulation. Thread-safe by one lock. */
#ifndef PAWL_STORE_MEMORY_STORE_MEMORY_H
#define PAWL_STORE_MEMORY_STORE_MEMORY_H

#include "store/store.h"

/* Never fails. store_close forgets everything. */
struct store *store_memory_new(void);
/* As if the process had died and the store been opened again: the epoch grows, faults are cleared. */
void store_memory_reopen(struct store *store);
/* What the next commit does (and, for FAILED, every later one): 0, ERROR_STORE_FULL, ERROR_STORE_FAILED. */
void store_memory_fail_next(struct store *store, enum error_code code);
/* Sets the room that status tells; LOW refuses births as a full disk would. */
void store_memory_set_room(struct store *store, enum store_room room);

#endif
