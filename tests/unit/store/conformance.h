/* One suite that judges every back end of store/store.h. The back ends are a table in test_conformance.c; each test
 * gets a fresh store of its own. */
#ifndef PAWL_TESTS_STORE_CONFORMANCE_H
#define PAWL_TESTS_STORE_CONFORMANCE_H

#include "support/check.h"

#include <stdbool.h>

#include "base/arena.h"
#include "store/store.h"

struct dag;

struct backend {
    const char *name;
    struct store *(*open)(const char *dir);
    /* As if the process had died between two calls. */
    struct store *(*reopen)(struct store *store, const char *dir);
};

struct suite {
    const struct backend *backend;
    char *dir;
    struct store *store;
    struct arena arena;         /* results */
    uint64_t batches;           /* number of the last batch */
    uint64_t ids, fences;       /* made so far */
    int64_t now_ms;             /* suite_tick moves it */
    struct dag *dag;            /* of what suite_make_dag makes: SUITE_TASKS tasks */
};

enum { SUITE_TASKS = 5 };
#define SUITE_SOURCE "# as it was given\nname: anything\n"

struct conformance_test {
    const char *name;
    CMUnitTestFunction run;     /* *state is a struct suite */
};

/* Each file's tests, ended by one without a name. */
extern const struct conformance_test conformance_catalog[], conformance_runs[], conformance_attempts[],
    conformance_letters[], conformance_fires[], conformance_retain[], conformance_whole[];

int suite_setup(void **state);      /* *state: a struct backend before, a struct suite after */
int suite_teardown(void **state);
void suite_reopen(struct suite *suite);

/* What tests are made of. */
int64_t suite_tick(struct suite *suite);                        /* one second later */
struct uuid suite_id(struct suite *suite);                      /* newer than all before */
struct dag *suite_read_dag(uint32_t tasks, const char *schedule); /* schedule: a YAML value, NULL: none */
struct batch *suite_batch(struct suite *suite);
/* Commits it, which must work. The caller frees it. */
void suite_commit(struct suite *suite, struct batch *batch);
/* The same, and frees it. */
void suite_commit_all(struct suite *suite, struct batch *batch);

/* Add one record; times are now. Conditional ones: in `group`. Owned texts of the record are the caller's to fill. */
struct record *put_dag(struct suite *suite, struct batch *batch, enum record_kind kind, uint32_t group,
                       struct uuid id);
struct record *put_run(struct suite *suite, struct batch *batch, uint32_t group, struct uuid id, struct uuid dag_id);
struct record *put_key(struct suite *suite, struct batch *batch, uint32_t group, const char *key, uint64_t digest,
                       struct uuid dag_id, struct uuid run_id);
struct record *put_claim(struct suite *suite, struct batch *batch, struct uuid run_id, uint32_t task,
                         uint32_t number);
struct record *put_end(struct suite *suite, struct batch *batch, const struct record_attempt *claim,
                       enum attempt_state state);
struct record *put_run_end(struct suite *suite, struct batch *batch, struct uuid run_id, struct uuid dag_id,
                           enum run_state state);
struct record *put_letter(struct suite *suite, struct batch *batch, struct uuid id, struct uuid run_id,
                          struct uuid dag_id, uint32_t task);
struct record *put_resolve(struct suite *suite, struct batch *batch, uint32_t group, struct uuid id,
                           enum resolution resolution, struct uuid run_id);

/* Commits of one thing. */
struct uuid suite_make_dag(struct suite *suite, const char *name);
struct uuid suite_make_run(struct suite *suite, struct uuid dag_id);
struct record_attempt suite_claim(struct suite *suite, struct uuid run_id, uint32_t task, uint32_t number);
void suite_end_run(struct suite *suite, struct uuid run_id, struct uuid dag_id, enum run_state state);
struct uuid suite_make_letter(struct suite *suite, struct uuid run_id, struct uuid dag_id, uint32_t task);

/* Reading, which must work. */
struct store_run suite_run(struct suite *suite, struct uuid id);
struct store_dag suite_dag(struct suite *suite, struct uuid id);
struct store_letter suite_letter(struct suite *suite, struct uuid id);
size_t suite_count_attempts(struct suite *suite, struct uuid run_id);

void assert_uuid(struct uuid got, struct uuid wanted);
void assert_text(const char *got, const char *wanted); /* NULL is a value */

#endif
