#include "store/backends.h"

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
    const struct store_options options = {.path = dir, .mode = STORE_CREATE, .durability = STORE_DURABILITY_FULL};
    struct store *store = NULL;
    struct error err = {0};
    if (store_open_sqlite(&options, &store, &err) != 0)
        fail_msg("%s", err.text);
    return store;
}

static struct store *reopen_sqlite(struct store *store, const char *dir)
{
    store_close(store);
    return open_sqlite(dir);
}

const struct backend backends[] = {
    {"memory", open_memory, reopen_memory},
    {"sqlite", open_sqlite, reopen_sqlite},
};

const size_t backends_count = sizeof backends / sizeof backends[0];
