/* Opening and closing, and the readers' pool.
 *
 *     is it ours?  header, version          before anything is written
 *     WAL          so that readers and the writer never wait for each other
 *     tables       migrated to this program's version
 *     reserve      made, or the room is low from the start
 *     epoch        one higher, synced whatever the durability: fences made from it are never made again
 *     -wal grown   see sqlite_model.h */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/sqlite/sqlite_model.h"

enum { WRITER_CACHE_KIB = 2048, READER_CACHE_KIB = 256 };

/* ---- connections ---- */

void store_sqlite_close(struct sqlite_connection *connection)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        (void)sqlite3_finalize(connection->statements[i]);
        connection->statements[i] = NULL;
    }
    (void)sqlite3_close(connection->db);
    connection->db = NULL;
}

/* What somebody may have planted in the file stays data: no triggers, no views, no functions in the schema. */
static void harden(sqlite3 *db)
{
    static const struct {
        int option, value;
    } settings[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},     {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0}, {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},   {SQLITE_DBCONFIG_DQS_DDL, 0},        {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 0},
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        (void)sqlite3_db_config(db, settings[i].option, settings[i].value, NULL);
}

enum use { USE_WRITER, USE_READER, USE_COPIER };

static int open_connection(struct store_sqlite *store, enum use use, struct sqlite_connection *connection,
                           struct error *err)
{
    bool writes = use == USE_WRITER;
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW |
                (store->mode == STORE_READ || use == USE_COPIER ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    connection->store = store;
    char *pragmas = mem_printf("PRAGMA cache_size = -%d; PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON; "
                               "PRAGMA query_only = %s; PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = OFF;",
                               writes ? WRITER_CACHE_KIB : READER_CACHE_KIB, use == USE_READER ? "ON" : "OFF");
    int result = sqlite3_open_v2(store->path, &connection->db, flags, NULL);
    if (result == SQLITE_OK) {
        (void)sqlite3_busy_timeout(connection->db, SQLITE_BUSY_MS);
        harden(connection->db);
        if (!writes)
            (void)sqlite3_db_config(connection->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        result = sqlite3_exec(connection->db, pragmas, NULL, NULL, NULL);
    }
    mem_free(pragmas);
    int code = result == SQLITE_OK ? 0 : store_sqlite_fault(store, connection->db, result, err);
    if (code)
        store_sqlite_close(connection);
    return code;
}

int store_sqlite_open_copier(struct store_sqlite *store, struct sqlite_connection *ret_connection, struct error *err)
{
    return open_connection(store, USE_COPIER, ret_connection, err);
}

/* ---- readers ---- */

int store_sqlite_enter(struct store *head, struct sqlite_connection **ret_connection, struct error *err)
{
    struct store_sqlite *store = (struct store_sqlite *)head;
    int code = store_sqlite_alive(store, false, err);
    if (code)
        return code;
    (void)pthread_mutex_lock(&store->lock);
    while (!store->free_readers)
        (void)pthread_cond_wait(&store->given_back, &store->lock);
    struct sqlite_connection *connection = store->free_readers;
    store->free_readers = connection->next_free;
    (void)pthread_mutex_unlock(&store->lock);
    if (!connection->db)
        code = open_connection(store, USE_READER, connection, err);
    if (!code)
        code = store_sqlite_run_plain(connection, SQL_BEGIN, err);
    if (code) { /* no room for the -shm file, say: readers know one error */
        if (err)
            err->code = ERROR_STORE_FAILED;
        return store_sqlite_leave(connection, ERROR_STORE_FAILED);
    }
    *ret_connection = connection;
    return 0;
}

int store_sqlite_leave(struct sqlite_connection *connection, int code)
{
    struct store_sqlite *store = connection->store;
    if (connection->db && !sqlite3_get_autocommit(connection->db)) {
        int result = SQLITE_OK;
        for (int i = 0; i < SQL_COUNT && code; i++) /* one that failed half way holds its snapshot */
            (void)sqlite3_reset(connection->statements[i]);
        if (store_sqlite_run_plain(connection, SQL_COMMIT, NULL))
            result = sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
        assert(result == SQLITE_OK || store->failed);
    }
    (void)pthread_mutex_lock(&store->lock);
    connection->next_free = store->free_readers;
    store->free_readers = connection;
    (void)pthread_cond_signal(&store->given_back);
    (void)pthread_mutex_unlock(&store->lock);
    return code;
}

/* ---- closing ---- */

/* Readers first: the last connection to go takes the -wal file into pawl.db and removes it. */
static void close_sqlite(struct store *head)
{
    struct store_sqlite *store = (struct store_sqlite *)head;
    for (uint32_t i = 0; i < store->readers_max; i++)
        store_sqlite_close(&store->readers[i]);
    if (store->failed && store->writer.db) /* what is in the -wal file is for recovery to judge */
        (void)sqlite3_db_config(store->writer.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    store_sqlite_close(&store->writer);
    store_sqlite_forget_runs(store);
    map_fini(&store->runs);
    (void)pthread_cond_destroy(&store->given_back);
    (void)pthread_mutex_destroy(&store->lock);
    store_sqlite_known_fini(&store->known);
    mem_free(store->readers);
    mem_free(store->done);
    mem_free(store->path);
    mem_free(store->dir);
    mem_free(store);
}

/* ---- opening ---- */

static int read_number(struct sqlite_connection *connection, const char *sql, int64_t *ret_value, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(connection->db, sql, -1, &statement, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_step(statement);
    if (result == SQLITE_ROW)
        *ret_value = sqlite3_column_int64(statement, 0);
    int code = result == SQLITE_ROW ? 0 : store_sqlite_fault(connection->store, connection->db, result, err);
    (void)sqlite3_finalize(statement);
    return code;
}

/* Whether the file is a store this program can use; *ret_version 0: it is empty. */
static int identify(struct sqlite_connection *connection, int *ret_version, struct error *err)
{
    int64_t application, version, tables;
    const char *path = connection->store->path;
    int code = read_number(connection, "PRAGMA application_id", &application, err);
    if (!code)
        code = read_number(connection, "PRAGMA user_version", &version, err);
    if (!code)
        code = read_number(connection, "SELECT count(*) FROM sqlite_schema", &tables, err);
    if (code)
        return code;
    bool empty = application == 0 && version == 0 && tables == 0;
    if (!empty && (application != SQLITE_APPLICATION_ID || version < 1))
        return error_set(err, ERROR_STORE_FAILED, "%s is no pawl store", path);
    if (version > store_sqlite_version())
        return error_set(err, ERROR_STORE_NEWER, "%s has version %d; this pawl knows versions up to %d", path,
                         (int)version, store_sqlite_version());
    *ret_version = (int)version;
    return 0;
}

static int read_meta(struct sqlite_connection *connection, struct error *err)
{
    struct store_sqlite *store = connection->store;
    bool row = false;
    sqlite3_stmt *statement = store_sqlite_prepare(connection, SQL_META, err);
    int code = statement ? store_sqlite_step(connection, statement, &row, err) : ERROR_STORE_FAILED;
    if (code)
        return code;
    if (!row)
        return store_sqlite_bad_row(connection, "meta", err);
    store->head.epoch = (uint64_t)sqlite3_column_int64(statement, 0);
    store->meta.next_base = sqlite3_column_int64(statement, 1);
    store->meta.dags = sqlite3_column_int64(statement, 2);
    store->meta.active_runs = sqlite3_column_int64(statement, 3);
    for (int i = 0; i < RESOLUTION_COUNT; i++)
        store->meta.letters[i] = sqlite3_column_int64(statement, 4 + i);
    store->meta.ended_runs = sqlite3_column_int64(statement, 4 + RESOLUTION_COUNT);
    store->meta.log_bytes = sqlite3_column_int64(statement, 5 + RESOLUTION_COUNT);
    (void)sqlite3_reset(statement);
    return 0;
}

/* Everything opening writes. ERROR_STORE_FULL can be tried again with more room. */
static int prepare_tables(struct store_sqlite *store, int version, struct error *err)
{
    struct sqlite_connection *writer = &store->writer;
    int result = sqlite3_exec(writer->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;", NULL, NULL, NULL);
    int code = result == SQLITE_OK ? 0 : store_sqlite_fault(store, writer->db, result, err);
    if (!code)
        code = store_sqlite_migrate(writer, version, err);
    if (!code)
        code = store_sqlite_run_plain(writer, SQL_EPOCH_NEXT, err);
    return code ? code : read_meta(writer, err);
}

static int count_frames(void *context, sqlite3 *db, const char *name, int frames)
{
    struct store_sqlite *store = context;
    (void)db, (void)name;
    store->frames = frames;
    return SQLITE_OK;
}

static int open_writer(struct store_sqlite *store, struct error *err)
{
    int version;
    int64_t mode;
    int code = open_connection(store, USE_WRITER, &store->writer, err);
    if (!code)
        code = identify(&store->writer, &version, err);
    if (code)
        return code;
    (void)sqlite3_wal_hook(store->writer.db, count_frames, store);
    store->head.room = store_sqlite_make_reserve(store) ? STORE_ROOM_OK : STORE_ROOM_LOW;
    code = prepare_tables(store, version, err);
    if (code == ERROR_STORE_FULL) {
        store_sqlite_give_reserve(store);
        store->head.room = STORE_ROOM_LOW;
        code = identify(&store->writer, &version, err);
        if (!code)
            code = prepare_tables(store, version, err);
    }
    if (!code)
        code = read_number(&store->writer, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'", &mode,
                           err);
    if (!code && mode != 1)
        code = error_set(err, ERROR_STORE_FAILED, "%s cannot have a write-ahead log on this file system", store->path);
    if (!code && store->durability == STORE_DURABILITY_RELAXED)
        (void)sqlite3_exec(store->writer.db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
    if (!code && store->head.room == STORE_ROOM_OK)
        store_sqlite_grow_wal(store);
    return code;
}

static int open_reader(struct store_sqlite *store, struct error *err)
{
    int version;
    int code = open_connection(store, USE_READER, &store->readers[0], err);
    if (!code)
        code = identify(&store->readers[0], &version, err);
    if (!code && version < store_sqlite_version())
        code = error_set(err, ERROR_STORE_FAILED, "%s has version %d, which a pawl that writes must bring to %d first",
                         store->path, version, store_sqlite_version());
    return code;
}

/* The file, private from its first moment. */
static int make_file(const struct store_sqlite *store, struct error *err)
{
    struct stat status;
    if (stat(store->path, &status) == 0 && (store->mode == STORE_CREATE || status.st_size > 0))
        return 0;
    if (store->mode != STORE_CREATE)
        return error_set(err, ERROR_NOT_FOUND, "there is no store at %s", store->path);
    int fd = open(store->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int folder = fd < 0 ? -1 : open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = 0;
    if (fd < 0 || folder < 0 || fsync(folder) != 0)
        code = error_set(err, ERROR_STORE_FAILED, "cannot make %s: %s", store->path, strerror(errno));
    if (folder >= 0)
        (void)close(folder);
    if (fd >= 0)
        (void)close(fd);
    return code;
}

static const struct store_ops sqlite_ops = {
    .kind = "sqlite",
    .close = close_sqlite,
    .commit = store_sqlite_commit,
    .maintain = store_sqlite_maintain,
    .load_active = store_sqlite_load_active,
    .dags = store_sqlite_dags,
    .versions = store_sqlite_versions,
    .source = store_sqlite_source,
    .runs = store_sqlite_runs,
    .attempts = store_sqlite_attempts,
    .letters = store_sqlite_letters,
    .fires = store_sqlite_fires,
    .letter_stats = store_sqlite_letter_stats,
    .ids = store_sqlite_ids,
    .taken = store_sqlite_taken,
    .copy = store_sqlite_copy,
    .dump = store_sqlite_dump,
    .fill = store_sqlite_fill,
    .status = store_sqlite_status,
    .ping = store_sqlite_ping,
    .check = store_sqlite_check,
};

int store_open_sqlite(const struct store_options *options, struct store **ret_store, struct error *err)
{
    /* Counting every allocation under one lock is for programs that ask; refused once a connection is open. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    struct store_sqlite *store = mem_new(struct store_sqlite);
    store->head.ops = &sqlite_ops;
    store->dir = mem_strdup(options->path);
    store->path = mem_printf("%s/pawl.db", options->path);
    store->mode = options->mode;
    store->durability = options->durability;
    store->reserve_bytes = options->reserve_bytes ? options->reserve_bytes : SQLITE_RESERVE_BYTES;
    (void)pthread_mutex_init(&store->lock, NULL);
    (void)pthread_cond_init(&store->given_back, NULL);
    store_sqlite_known_init(&store->known, options->mode != STORE_READ);
    store->readers_max = options->readers_max ? options->readers_max : SQLITE_READERS;
    store->readers = mem_new_array(struct sqlite_connection, store->readers_max);
    for (uint32_t i = store->readers_max; i-- > 0;) {
        store->readers[i].store = store;
        store->readers[i].next_free = store->free_readers;
        store->free_readers = &store->readers[i];
    }
    int code = make_file(store, err);
    if (!code)
        code = store->mode == STORE_READ ? open_reader(store, err) : open_writer(store, err);
    if (code)
        close_sqlite(&store->head);
    else
        *ret_store = &store->head;
    return code;
}
