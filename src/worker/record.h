/* <id>.run: what a worker runs and made, in a mapped file that outlives the worker, for whoever cleans up after it.
 * Everything is written here before it is done. Writing is a store to memory. It need not survive the machine: a record
 * of another boot says nothing. */
#ifndef PAWL_WORKER_RECORD_H
#define PAWL_WORKER_RECORD_H

#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "worker/procs.h"

enum { WORKER_RECORD_PATH_MAX = 1024 };

struct worker_record_slot {
    struct worker_mark mark;       /* all zero: the slot is free */
    uint32_t busy;
    uint32_t spare;
};

struct worker_record {
    uint64_t magic;
    struct uuid boot_id;
    uint32_t slots;
    char cgroup[WORKER_RECORD_PATH_MAX]; /* empty: none */
    struct worker_record_slot slot[];
};

/* Makes the file and maps it. */
int worker_record_make(const char *path, uint32_t slots, struct uuid boot_id, struct worker_record **ret_record,
                       struct error *err);
/* cgroup: NULL for none. ERROR_TOO_BIG when its path is too long. */
int worker_record_set_cgroup(struct worker_record *record, const char *cgroup, struct error *err);
/* Reads one that is there: *ret_record is NULL when there is none, or none of this kind. */
int worker_record_read(const char *path, struct worker_record **ret_record, struct error *err);
void worker_record_close(struct worker_record *record); /* NULL is allowed */

#endif
