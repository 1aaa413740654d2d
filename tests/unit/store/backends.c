#include "store/backends.h"

#include "base/mem.h"
#include "store/memory/store_memory.h"
#include "store/postgres_server.h"

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

static struct store *open_postgres(const char *dir)
{
    char *url = postgres_url(dir);
    const struct store_options options = {
        .url = url,
        .mode = STORE_CREATE,
        .durability = STORE_DURABILITY_FULL,
        .node = {.id = {{1, 2, 3}}, .host = "test"},
    };
    struct store *store = NULL;
    struct error err = {0};
    if (store_open_postgres(&options, &store, &err) != 0)
        fail_msg("%s", err.text);
    mem_free(url);
    return store;
}

static struct store *reopen_postgres(struct store *store, const char *dir)
{
    store_close(store);
    return open_postgres(dir);
}

const struct backend backends[] = {
    {"memory", open_memory, reopen_memory},
    {"sqlite", open_sqlite, reopen_sqlite},
    {"postgresql", open_postgres, reopen_postgres},
};

const size_t backends_count = sizeof backends / sizeof backends[0];
