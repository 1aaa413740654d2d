/* Every row of a store in a shape that no back end owns: how a store moves from one to another.
 *
 *     dump      one back end gives all its rows, as they are at one moment, table by table in the order below
 *     fill      another, which is empty, takes them in one transaction
 *     compare   what the target gives then must be what the source gave
 *
 * Tables and columns have the names they have in the databases. What a database numbers for itself (DAGs, runs) is
 * named by its id here. The table epoch makes fences of the target's lives larger than all of the source's. */
#ifndef PAWL_STORE_STORE_ROWS_H
#define PAWL_STORE_STORE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "store/store.h"

enum store_type {
    STORE_INT,
    STORE_BOOL,
    STORE_TEXT,     /* valid UTF-8 */
    STORE_BYTES,
    STORE_ID,
    STORE_DAG,      /* the id of a DAG that the database has by its number */
    STORE_RUN       /* of a run, the same */
};

struct store_column {
    const char *name;
    enum store_type type;
};

struct store_layout {
    const char *name;                   /* of the table */
    const char *what;                   /* its rows, for people */
    const struct store_column *columns;
    int column_count;
};
extern const struct store_layout store_layouts[STORE_TABLE_COUNT];
enum { STORE_COLUMNS_MAX = 24 };

struct store_moved {
    uint64_t rows[STORE_TABLE_COUNT];
};

/* Moves everything. `to` is open for writing, has no other node and no row, else ERROR_USAGE; nobody uses `from`
 * meanwhile (ERROR_STORE_LOCKED: living nodes are on it). ERROR_RUN_ACTIVE: attempts are running. An error leaves `to`
 * without a row, unless it came of the comparison at the end, which says so. `to` is good for nothing but closing and
 * store_check afterwards. Log files of `from` become values and, where `to` keeps logs in files, files again. */
int store_move(struct store *from, struct store *to, const struct store_copying *copying,
               struct store_moved *ret_moved, struct error *err);

/* For back ends: an attempt's log from its file below `dir`. Of one longer than LIMIT_LOG_KEPT_BYTES_MAX the beginning
 * and the end, which says most. Nothing is appended when there is no file: the log is no state. */
void store_read_log(const char *dir, struct uuid run_id, uint32_t task, uint32_t number, struct buf *out);
/* The other way. ERROR_IO, ERROR_STORE_FULL. */
int store_write_log(const char *dir, struct uuid run_id, uint32_t task, uint32_t number, const char *bytes, size_t len,
                    struct error *err);

#endif
