/* A pool and what it has said. */
#ifndef PAWL_TESTS_POOL_HARNESS_H
#define PAWL_TESTS_POOL_HARNESS_H

#include "pool/pool.h"

enum { SEEN_MAX = 64, TEXT_MAX = 300 };

struct seen_worker {
    struct uuid id;
    int32_t pid;
    uint32_t slots;
    bool adopted, draining;
    uint32_t running, ended;         /* attempts it held */
    struct job_key key;              /* of the last one */
    char error[TEXT_MAX];            /* of the last one that had ended */
};

struct seen_death {
    struct uuid id;
    char reason[TEXT_MAX];
    size_t up_before;                /* how many were up then, and had been adopted */
    size_t adopted_before;
};

struct harness {
    char root[TEXT_MAX];             /* made by mkdtemp */
    char data_dir[TEXT_MAX];
    struct pool *pool;
    struct seen_worker up[SEEN_MAX];
    size_t up_count;
    struct seen_death gone[SEEN_MAX];
    size_t gone_count;
    size_t started, results, returned, adopted, silent;
    struct uuid silent_id;           /* of the last one */
    int32_t silent_pid;
    size_t results_before_gone;
    struct job_key last_key;
    int32_t last_pid;                /* of the last that started */
    struct job_result last_result;   /* its texts are gone */
};

void harness_setup(struct harness *h);               /* a data directory; no pool */
void harness_teardown(struct harness *h);            /* ends all workers; nothing may be left of them */
int harness_open(struct harness *h, const struct pool_options *options); /* a new pool, started */
void harness_close(struct harness *h);               /* disconnects: workers go on */
typedef bool harness_condition(const struct harness *h, size_t count);
void harness_until(struct harness *h, harness_condition *condition, size_t count);
bool harness_is_up(const struct harness *h, size_t count);
bool harness_is_gone(const struct harness *h, size_t count);
bool harness_is_silent(const struct harness *h, size_t count);
bool harness_is_adopted(const struct harness *h, size_t count);
bool harness_has_results(const struct harness *h, size_t count);
bool harness_has_started(const struct harness *h, size_t count);
void harness_send(struct harness *h, struct uuid worker, uint64_t fence, const char *command);
size_t harness_file_count(const struct harness *h);  /* in DATA/workers */
void harness_kill(int32_t pid, int signal_number);
/* Until the process has ended; it is reaped when it is ours. */
void harness_wait_dead(int32_t pid);

#endif
