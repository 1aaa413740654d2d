/* From a job to a program, its arguments and its environment. Reads the file system (is there such a program?), changes
 * nothing. */
#ifndef PAWL_WORKER_PLAN_H
#define PAWL_WORKER_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "worker/job.h"

struct worker_plan {
    const char *program;   /* absolute, or relative to the workdir */
    const char **further;  /* of another user: what else is called so in its PATH, should program not be its to execute;
                              ends with NULL; NULL: nothing */
    const char *name;      /* as the user wrote it */
    char **argv;
    char **envp;
    bool direct;           /* a command without its shell: when it cannot be executed, use worker_plan_shell */
};

/* Where a workdir really is, remembered from one plan to the next. Zero-initialised is valid. */
struct worker_place {
    char *workdir;         /* as the job says it; NULL: nothing is remembered */
    char *physical;
    uint64_t device, inode;
};

void worker_place_fini(struct worker_place *place);

/* Python code of that length is not passed as an argument: it has to be in a file. */
bool worker_plan_needs_file(const struct job *job);

/* code_path: that file, or NULL. Everything is in the arena or borrowed from the job. ERROR_NOT_FOUND with a sentence
 * when there is no such program. */
int worker_plan_make(struct arena *arena, const struct job *job, const char *code_path, struct worker_place *place,
                     struct worker_plan *ret_plan, struct error *err);

/* The same command by `sh -c`. */
void worker_plan_shell(struct arena *arena, const struct job *job, struct worker_plan *ret_plan);

#endif
