/* The DAGs that were asked for last, as their rows are: what most requests begin with then takes no statement.
 *
 * The writer moves `generation` on before and after a commit that touches the table dags. A row is kept with the
 * generation that was read before its transaction began, and is good while that is still the present one and even: so
 * nobody is told what a commit that may already be seen, or was acknowledged, has changed. Beside a writer in another
 * process the generation is odd for good and nothing is kept. */
#include <string.h>

#include "base/mem.h"
#include "store/sqlite/sqlite_model.h"

/* A row and behind it its texts. */
struct known_dag {
    uint64_t generation;
    struct store_dag dag;
    char texts[];
};

static struct known_dag **slot_of(struct sqlite_known *known, struct uuid id)
{
    return &known->slots[id.bytes[sizeof id.bytes - 1] % SQLITE_KNOWN_DAGS]; /* its last byte is random */
}

void store_sqlite_known_init(struct sqlite_known *known, bool alone)
{
    (void)pthread_mutex_init(&known->lock, NULL); /* cannot fail on Linux */
    atomic_init(&known->generation, alone ? 0 : 1);
}

void store_sqlite_known_fini(struct sqlite_known *known)
{
    for (size_t i = 0; i < SQLITE_KNOWN_DAGS; i++)
        mem_free(known->slots[i]);
    (void)pthread_mutex_destroy(&known->lock);
}

void store_sqlite_known_changes(struct sqlite_known *known)
{
    if (atomic_load(&known->generation) % 2 == 0)
        (void)atomic_fetch_add(&known->generation, 1);
}

void store_sqlite_known_changed(struct sqlite_known *known)
{
    if (atomic_load(&known->generation) % 2 == 1)
        (void)atomic_fetch_add(&known->generation, 1);
}

uint64_t store_sqlite_known_generation(const struct sqlite_known *known)
{
    return atomic_load(&known->generation);
}

bool store_sqlite_known_get(struct sqlite_known *known, struct uuid id, struct arena *arena, struct store_dag *ret_dag)
{
    (void)pthread_mutex_lock(&known->lock);
    const struct known_dag *found = *slot_of(known, id);
    bool good = found && uuid_equal(found->dag.id, id) && found->generation == atomic_load(&known->generation);
    if (good) {
        *ret_dag = found->dag;
        ret_dag->name = arena_strdup(arena, found->dag.name);
        ret_dag->cron = found->dag.cron ? arena_strdup(arena, found->dag.cron) : NULL;
        ret_dag->timezone = found->dag.timezone ? arena_strdup(arena, found->dag.timezone) : NULL;
    }
    (void)pthread_mutex_unlock(&known->lock);
    return good;
}

static size_t text_bytes(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

/* Appends a copy and moves behind it. */
static const char *keep_text(char **next, const char *text)
{
    const char *copy = text ? memcpy(*next, text, text_bytes(text)) : NULL;
    *next += text_bytes(text);
    return copy;
}

void store_sqlite_known_put(struct sqlite_known *known, uint64_t generation, const struct store_dag *dag)
{
    if (generation % 2)
        return;
    struct known_dag *kept =
        mem_alloc(sizeof *kept + text_bytes(dag->name) + text_bytes(dag->cron) + text_bytes(dag->timezone));
    char *next = kept->texts;
    kept->generation = generation;
    kept->dag = *dag;
    kept->dag.name = keep_text(&next, dag->name);
    kept->dag.cron = keep_text(&next, dag->cron);
    kept->dag.timezone = keep_text(&next, dag->timezone);
    (void)pthread_mutex_lock(&known->lock);
    struct known_dag **slot = slot_of(known, dag->id);
    struct known_dag *before = *slot;
    *slot = kept;
    (void)pthread_mutex_unlock(&known->lock);
    mem_free(before);
}
