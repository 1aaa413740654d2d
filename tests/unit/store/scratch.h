/* A directory of a test's own, which ends with the test. */
#ifndef PAWL_TESTS_STORE_SCRATCH_H
#define PAWL_TESTS_STORE_SCRATCH_H

/* A new directory below TMPDIR; the caller frees the path by scratch_remove. */
char *scratch_make(void);
/* Removes it with all it holds and frees the path. */
void scratch_remove(char *path);

#endif
