/* Ranges of logs and pages of lists: the first byte says of what ('a' a log in a file, 'b' one kept in the store, 'c'
 * one that is not there, 'd' a list), the rest is the query. When that is nothing but plain numbers, what has to come
 * is told by itself; in any case what comes is a piece of what is there, or words. */
#include "fuzz.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "api/api.h"
#include "base/limits.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "dag/dag_problem.h"
#include "state/log_path.h"
#include "store/memory/store_memory.h"

enum { LOG_BYTES = 1000, KEPT_BYTES = 300, DAGS = 7, DIGITS_MAX = 18 };

static const char yaml[] = "tasks: [{id: a, type: shell, command: x}, {id: b, type: shell, command: x}, "
                           "{id: c, type: shell, command: x}]";
static const struct uuid run_id = {{1, 0x23, 0x45, 0x67, 0x89, 0xab, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 2}};

static char whole[LOG_BYTES];
static char data_dir[] = "/tmp/pawl-ranges-XXXXXX";

static void path_of(char path[300], bool folder)
{
    struct buf out = BUF_INIT;
    if (folder)
        state_log_folder(&out, data_dir, run_id);
    else
        state_log_path(&out, data_dir, run_id, 0, 1);
    (void)snprintf(path, 300, "%s", buf_text(&out));
    buf_fini(&out);
}

static void remove_log(void)
{
    char path[300];
    path_of(path, false);
    (void)unlink(path);
    path_of(path, true);
    do {
        (void)rmdir(path);
        *strrchr(path, '/') = '\0';
    } while (strlen(path) >= sizeof data_dir - 1);
}

static void make_log(void)
{
    char path[300];
    /* no two places look alike for long */
    for (uint32_t i = 0, word = 1; i < LOG_BYTES; i++, word = word * 1664525 + 1013904223)
        whole[i] = (char)('a' + (word >> 24) % 26);
    if (!mkdtemp(data_dir))
        abort();
    (void)atexit(remove_log);
    path_of(path, true);
    for (char *at = path + sizeof data_dir - 1; at; at = strchr(at + 1, '/')) {
        char kept = *at;
        *at = '\0';
        (void)mkdir(path, 0700);
        *at = kept;
    }
    (void)mkdir(path, 0700);
    path_of(path, false);
    FILE *log = fopen(path, "w");
    if (!log || fwrite(whole, 1, LOG_BYTES, log) != LOG_BYTES || fclose(log) != 0)
        abort();
}

static void commit(struct store *store, struct batch *batch)
{
    int rc = store_commit(store, &batch, 1, NULL);
    assert(rc == 0);
    (void)rc;
    record_batch_free(batch);
}

static void add_dags(struct batch *batch, struct dag *dag)
{
    char name[] = "d0";
    for (int i = 0; i < DAGS; i++, name[1]++) {
        struct record *record = record_add(batch, RECORD_DAG_CREATE, record_add_group(batch));
        record->dag = (struct record_dag){.id = run_id, .name = arena_strdup(&batch->arena, name), .version = 1,
                                          .source = yaml, .source_len = sizeof yaml - 1, .dag = dag_ref(dag),
                                          .time_ms = 1};
        record->dag.id.bytes[14] = (uint8_t)(i + 1);
    }
}

static void add_attempts(struct batch *batch)
{
    for (uint32_t task = 0; task < 3; task++) {
        struct record_attempt row = {.run_id = run_id, .task = task, .number = 1, .fence = task + 1, .worker = {{7}},
                                     .state = ATTEMPT_RUNNING, .exit_code = -1, .claimed_ms = 1};
        record_add(batch, RECORD_ATTEMPT_CLAIM, 0)->attempt = row;
        row.state = ATTEMPT_SUCCEEDED;
        row.task_state = TASK_SUCCEEDED;
        row.exit_code = 0;
        row.ended_ms = 2;
        row.log = task == 1 ? whole : NULL;
        row.log_len = task == 1 ? KEPT_BYTES : 0;
        record_add(batch, RECORD_ATTEMPT_END, 0)->attempt = row;
    }
}

static struct store *make_store(void)
{
    struct store *store = store_memory_new();
    struct dag_problems problems = {0};
    struct dag *dag = NULL;
    const struct dag_read_options options = {.name = "d0", .tasks_max = 10, .bytes_max = 1000};
    int rc = dag_read(yaml, sizeof yaml - 1, &options, &problems, &dag);
    assert(rc == 0);
    (void)rc;
    struct batch *batch = record_batch_new(1);
    add_dags(batch, dag);
    commit(store, batch);
    struct uuid dag_id = run_id;
    dag_id.bytes[14] = 1;
    batch = record_batch_new(2);
    struct record *record = record_add(batch, RECORD_RUN_CREATE, record_add_group(batch));
    record->run = (struct record_run){.id = run_id, .dag_id = dag_id, .dag_version = 1, .task_count = 3, .dag = dag,
                                      .created_ms = 1};
    commit(store, batch);
    batch = record_batch_new(3);
    add_attempts(batch);
    commit(store, batch);
    dag_problems_fini(&problems);
    return store;
}

/* name=DIGITS, without a zero in front, at *at, alone or before an '&'. */
static bool take_number(const char **at, const char *name, int64_t *ret_number)
{
    size_t len = strlen(name);
    if (strncmp(*at, name, len) != 0)
        return false;
    const char *digits = *at + len;
    size_t count = strspn(digits, "0123456789");
    bool ends = digits[count] == '\0' || (digits[count] == '&' && digits[count + 1]);
    if (!count || count > DIGITS_MAX || (count > 1 && digits[0] == '0') || !ends || *ret_number != -1)
        return false;
    *ret_number = strtoll(digits, NULL, 10);
    *at = digits + count + (digits[count] == '&');
    return true;
}

/* False: nothing that can be told by itself. -1: absent. */
static bool is_plain(const char *query, int64_t *ret_offset, int64_t *ret_limit)
{
    *ret_offset = *ret_limit = -1;
    while (*query)
        if (!take_number(&query, "offset=", ret_offset) && !take_number(&query, "limit=", ret_limit))
            return false;
    return true;
}

static void check_log(const char *query, size_t size, int status, const struct buf *body)
{
    int64_t offset, limit;
    if (!is_plain(query, &offset, &limit)) {
        assert(status == 200 || status == 400 || status == 404);
        assert(status != 200 || !body->len || memmem(whole, size, body->bytes, body->len));
        return;
    }
    bool good = limit == -1 || (limit >= 1 && limit <= LIMIT_LOG_PAGE_BYTES_MAX);
    assert(status == (good ? 200 : 400));
    if (!good)
        return;
    size_t from = offset < 0 ? 0 : offset > (int64_t)size ? size : (size_t)offset;
    size_t len = limit >= 0 && (size_t)limit < size - from ? (size_t)limit : size - from;
    assert(body->len == len && (!len || memcmp(body->bytes, whole + from, len) == 0));
}

static void check_list(const char *query, int status, const struct buf *body)
{
    int64_t offset, limit;
    if (!is_plain(query, &offset, &limit)) {
        assert(status == 200 || status == 400);
        return;
    }
    bool good = (limit == -1 || (limit >= 1 && limit <= LIMIT_PAGE_MAX)) && offset <= LIMIT_OFFSET_MAX;
    assert(status == (good ? 200 : 400));
    if (!good)
        return;
    json_t *page = json_loadb(body->bytes, body->len, JSON_REJECT_DUPLICATES, NULL);
    int64_t left = offset < 0 ? DAGS : offset > DAGS ? 0 : DAGS - offset;
    int64_t most = limit < 0 ? LIMIT_PAGE_DEFAULT : limit;
    assert(page && (int64_t)json_array_size(page) == (left < most ? left : most));
    json_decref(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static struct api *api;
    static const struct api_config config = {.data_dir = data_dir, .node_host = "fuzz"};
    if (!api) {
        make_log();
        const struct api_backend backend = {.store = make_store()};
        api = api_new(&config, &backend);
    }
    if (len < 1 || input[0] < 'a' || input[0] > 'd')
        return 0;
    char *query = mem_strndup((const char *)input + 1, len - 1);
    char id[UUID_TEXT_LEN + 1];
    uuid_format(run_id, id);
    char *target = input[0] == 'd' ? mem_printf("/api/v1/dags?%s", query)
                                   : mem_printf("/api/v1/runs/%s/tasks/%c/log?%s", id, input[0], query);
    struct buf body = BUF_INIT;
    struct error err;
    int status = 0;
    int rc = api_get(api, target, &body, &status, &err);
    assert(!rc || err.text[0]);
    if (!rc && input[0] == 'd')
        check_list(query, status, &body);
    else if (!rc)
        check_log(query, input[0] == 'a' ? LOG_BYTES : input[0] == 'b' ? KEPT_BYTES : 0, status, &body);
    buf_fini(&body);
    mem_free(target);
    mem_free(query);
    return 0;
}
