/* store/store.h, asked of every back end. */
#include "store/conformance.h"

#include "base/mem.h"
#include "store/memory/store_memory.h"

static struct store *open_memory(const char *dir)
{
    (void)dir;
    return store_memory_new();
}

static struct store *reopen_memory(struct store *store, const char *dir)
{
    (void)dir;
    store_memory_reopen(store);
    return store;
}

static struct store *open_sqlite(const char *dir)
{
    struct store *store = NULL;
    struct error err = {0};
    const struct store_options options = {.path = dir, .mode = STORE_CREATE};
    if (store_open_sqlite(&options, &store, &err) != 0)
        fail_msg("%s", err.text);
    return store;
}

static struct store *reopen_sqlite(struct store *store, const char *dir)
{
    store_close(store);
    return open_sqlite(dir);
}

static const struct backend backends[] = {
    {"memory", open_memory, reopen_memory},
    {"sqlite", open_sqlite, reopen_sqlite},
};

static const struct conformance_test *const parts[] = {
    conformance_catalog, conformance_runs, conformance_attempts, conformance_letters, conformance_whole,
};

int main(void)
{
    struct CMUnitTest *tests = NULL;
    size_t count = 0, cap = 0;
    for (size_t b = 0; b < sizeof backends / sizeof backends[0]; b++) {
        for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
            for (const struct conformance_test *test = parts[p]; test->name; test++) {
                tests = mem_grow(tests, &cap, count + 1, sizeof *tests);
                tests[count++] = (struct CMUnitTest){
                    .name = mem_printf("%s: %s", backends[b].name, test->name),
                    .test_func = test->run,
                    .setup_func = suite_setup,
                    .teardown_func = suite_teardown,
                    .initial_state = (void *)&backends[b],
                };
            }
        }
    }
    int failed = _cmocka_run_group_tests("conformance", tests, count, NULL, NULL);
    for (size_t i = 0; i < count; i++)
        mem_free((char *)tests[i].name);
    mem_free(tests);
    return failed;
}
