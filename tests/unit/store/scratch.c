#include "store/scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "support/check.h"

char *scratch_make(void)
{
    const char *base = getenv("TMPDIR");
    char *path = mem_printf("%s/pawl-test-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return path;
}

static int drop(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status, (void)kind, (void)place;
    return remove(path);
}

void scratch_remove(char *path)
{
    assert_int_equal(nftw(path, drop, 16, FTW_DEPTH | FTW_PHYS), 0);
    mem_free(path);
}
