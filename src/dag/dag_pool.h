/* Texts packed into an arena, without the alignment that other things need. */
#ifndef PAWL_DAG_DAG_POOL_H
#define PAWL_DAG_DAG_POOL_H

#include <stddef.h>

#include "base/arena.h"

struct dag_pool {
    struct arena *arena;    /* borrowed; owns the texts */
    char *next;
    size_t left;
};

/* A terminated copy of the text, which lives as long as the arena. */
const char *dag_pool_add(struct dag_pool *pool, const char *text, size_t len);

#endif
