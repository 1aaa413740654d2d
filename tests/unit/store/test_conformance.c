/* store/store.h, asked of every back end. */
#include "store/backends.h"

#include "base/mem.h"

static const struct conformance_test *const parts[] = {
    conformance_catalog, conformance_runs,  conformance_attempts,
    conformance_letters, conformance_fires, conformance_retain, conformance_whole,
};

int main(void)
{
    struct CMUnitTest *tests = NULL;
    size_t count = 0, cap = 0;
    for (size_t b = 0; b < backends_count; b++) {
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
