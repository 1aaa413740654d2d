/* An SQLite VFS whose n-th call fails. */
#ifndef PAWL_TESTS_STORE_FAULT_VFS_H
#define PAWL_TESTS_STORE_FAULT_VFS_H

#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
    FAULT_FULL,     /* a write that finds no room */
    FAULT_WRITE,    /* a write that fails */
    FAULT_SYNC,
    FAULT_READ,
    FAULT_KIND_COUNT
};

/* From here on SQLite's default VFS fails when told to. */
void fault_start(void);
void fault_stop(void);
/* The n-th call of the kind from now on fails (n = 1: the next), and with `forever` all after it. */
void fault_set(enum fault_kind kind, uint64_t n, bool forever);
/* Nothing fails any more. Says whether anything has since fault_set. */
bool fault_clear(void);

#endif
