/* The floor of what is kept: an SQLite loop that writes what pawl writes, with the same settings (WAL grown once,
 * synchronous FULL or OFF), and does nothing else.
 *
 *     floor_sqlite FILE TASKS BATCH full|relaxed     TASKS claims and ends, BATCH of each a transaction
 *     floor_sqlite FILE RUNS BATCH full|relaxed runs RUNS rows of runs, BATCH a transaction */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static sqlite3 *db;

static void check(int code)
{
    if (code == SQLITE_OK || code == SQLITE_DONE)
        return;
    fprintf(stderr, "floor_sqlite: %s\n", sqlite3_errmsg(db));
    exit(1);
}

static sqlite3_stmt *prepare(const char *sql)
{
    sqlite3_stmt *statement;
    check(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL));
    return statement;
}

static void step(sqlite3_stmt *statement)
{
    check(sqlite3_step(statement));
    check(sqlite3_reset(statement));
}

static void open_store(const char *path, const char *synchronous)
{
    char sql[200];
    check(sqlite3_open(path, &db));
    snprintf(sql, sizeof sql, "PRAGMA journal_mode=WAL; PRAGMA synchronous=%s; PRAGMA wal_autocheckpoint=4000;", synchronous);
    check(sqlite3_exec(db, sql, NULL, NULL, NULL));
    check(sqlite3_exec(db,
                       "CREATE TABLE attempts (key INTEGER PRIMARY KEY, state TEXT NOT NULL, fence INTEGER NOT NULL,"
                       " worker BLOB, claimed_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,"
                       " cpu_us INTEGER NOT NULL, max_rss_bytes INTEGER NOT NULL) STRICT;"
                       "CREATE TABLE runs (id BLOB PRIMARY KEY, base INTEGER NOT NULL, dag INTEGER NOT NULL,"
                       " state TEXT NOT NULL, created_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
                       NULL, NULL, NULL));
}

static void tasks(size_t count, size_t batch)
{
    static const char worker[16];
    sqlite3_stmt *begin = prepare("BEGIN IMMEDIATE"), *commit = prepare("COMMIT");
    sqlite3_stmt *claim = prepare("INSERT INTO attempts VALUES (?1, 'running', ?1, ?2, 1764400000000, 0, 0, 0, 0)");
    sqlite3_stmt *end = prepare("UPDATE attempts SET state = 'succeeded', started_ms = 1764400000001,"
                                " ended_ms = 1764400000002, cpu_us = 700, max_rss_bytes = 1700000 WHERE key = ?1");
    for (size_t i = 0; i < count; i += batch) {
        /* one commit ends a batch and claims the next, as the daemon's do */
        step(begin);
        for (size_t k = i; k < i + batch && k < count; k++) {
            check(sqlite3_bind_int64(claim, 1, (sqlite3_int64)k * 1024));
            check(sqlite3_bind_blob(claim, 2, worker, sizeof worker, SQLITE_STATIC));
            step(claim);
            if (k >= batch) {
                check(sqlite3_bind_int64(end, 1, (sqlite3_int64)(k - batch) * 1024));
                step(end);
            }
        }
        step(commit);
    }
}

static void runs(size_t count, size_t batch)
{
    sqlite3_stmt *begin = prepare("BEGIN IMMEDIATE"), *commit = prepare("COMMIT");
    sqlite3_stmt *add = prepare("INSERT INTO runs VALUES (?1, ?2, 1, 'pending', 1764400000000)");
    for (size_t i = 0; i < count; i += batch) {
        step(begin);
        for (size_t k = i; k < i + batch && k < count; k++) {
            unsigned char id[16] = {0x01, 0x9a};
            for (int byte = 0; byte < 8; byte++)
                id[15 - byte] = (unsigned char)(k >> 8 * byte);
            check(sqlite3_bind_blob(add, 1, id, sizeof id, SQLITE_TRANSIENT));
            check(sqlite3_bind_int64(add, 2, (sqlite3_int64)k));
            step(add);
        }
        step(commit);
    }
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: floor_sqlite FILE COUNT BATCH full|relaxed [runs]\n");
        return 2;
    }
    size_t count = strtoul(argv[2], NULL, 10), batch = strtoul(argv[3], NULL, 10);
    struct timespec began, ended;
    (void)unlink(argv[1]);
    open_store(argv[1], strcmp(argv[4], "full") == 0 ? "FULL" : "OFF");
    clock_gettime(CLOCK_MONOTONIC, &began);
    if (argc > 5)
        runs(count, batch ? batch : 1);
    else
        tasks(count, batch ? batch : 1);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    double seconds = (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9;
    printf("{\"count\": %zu, \"batch\": %zu, \"seconds\": %.6f, \"rate\": %.1f}\n", count, batch, seconds,
           (double)count / seconds);
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char path[4200];
        snprintf(path, sizeof path, "%s%s", argv[1], endings[i]);
        (void)unlink(path);
    }
    return 0;
}
