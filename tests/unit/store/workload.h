/* A random workload of records that can be true, for comparing back ends with each other. One seed, one workload. */
#ifndef PAWL_TESTS_STORE_WORKLOAD_H
#define PAWL_TESTS_STORE_WORKLOAD_H

#include "store/conformance.h"

enum { WORKLOAD_DAGS_MAX = 64, WORKLOAD_RUNS_MAX = 400, WORKLOAD_LETTERS_MAX = 400 };

struct workload_task {
    uint32_t number;                /* of the latest attempt; 0: none */
    bool running, done;
    struct record_attempt claim;    /* of the latest */
};

struct workload_run {
    struct uuid id, dag, source;
    bool started, ended;
    struct workload_task tasks[SUITE_TASKS];
};

struct workload {
    struct suite *suite;            /* makes ids and records; its store is not used */
    uint64_t seed;
    struct uuid dags[WORKLOAD_DAGS_MAX];
    uint32_t versions[WORKLOAD_DAGS_MAX];
    size_t dag_count;
    struct workload_run runs[WORKLOAD_RUNS_MAX];
    size_t run_count;
    struct uuid letters[WORKLOAD_LETTERS_MAX];
    size_t letter_count;
    /* births of the batch being made; they count once they are accepted */
    struct { uint32_t group; size_t run; struct uuid dag; size_t updated; } births[32];
    size_t birth_count;
    struct workload_run born[32];
};

uint64_t workload_draw(struct workload *workload, uint64_t below);
/* The next batch. After it was committed, tell the verdicts by workload_take. */
struct batch *workload_next(struct workload *workload);
void workload_take(struct workload *workload, const struct batch *batch);

#endif
