/* What reaches the API from outside. 'G': the rest is the target of a GET. 'B': the next byte chooses a route that
 * takes a body, the rest is that body. Never a 500; every answer that says it is JSON is. */
#include "fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "api/api_dispatch.h"
#include "dag/dag.h"
#include "dag/dag_problem.h"
#include "store/memory/store_memory.h"

static const char yaml[] = "tasks: [{id: a, type: shell, command: x}, {id: b/c, type: shell, command: x}]";

/* One DAG 01234567-...-01, one run of it that was never started, -02. */
static struct store *make_store(void)
{
    struct store *store = store_memory_new();
    struct dag_problems problems = {0};
    struct dag *dag = NULL;
    const struct dag_read_options options = {.name = "mine", .tasks_max = 10, .bytes_max = 1000};
    int rc = dag_read(yaml, sizeof yaml - 1, &options, &problems, &dag);
    assert(rc == 0);
    struct uuid dag_id = {{1, 0x23, 0x45, 0x67, 0x89, 0xab, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}}, run_id = dag_id;
    run_id.bytes[15] = 2;
    struct batch *batch = record_batch_new(1);
    struct record *record = record_add(batch, RECORD_DAG_CREATE, record_add_group(batch));
    record->dag = (struct record_dag){.id = dag_id, .name = "mine", .version = 1, .source = yaml,
                                      .source_len = sizeof yaml - 1, .dag = dag_ref(dag), .time_ms = 1};
    rc = store_commit(store, &batch, 1, NULL);
    assert(rc == 0);
    record_batch_free(batch);
    batch = record_batch_new(2);
    record = record_add(batch, RECORD_RUN_CREATE, record_add_group(batch));
    record->run = (struct record_run){.id = run_id, .dag_id = dag_id, .dag_version = 1, .task_count = 2, .dag = dag,
                                      .created_ms = 1};
    rc = store_commit(store, &batch, 1, NULL);
    assert(rc == 0);
    record_batch_free(batch);
    dag_problems_fini(&problems);
    (void)rc;
    return store;
}

static void check_get(struct api *api, const char *target)
{
    struct buf body = BUF_INIT;
    struct error err;
    int status = 0;
    if (api_get(api, target, &body, &status, &err) == 0) {
        assert(status >= 200 && status < 600);
        /* nothing runs here, which only health may answer with a 503 */
        assert(status < 500 || (status == 503 && (target[0] != '/' || target[1] != 'a')));
        if (body.len && (body.bytes[0] == '{' || body.bytes[0] == '[') && !strstr(target, "source")) {
            json_t *root = json_loadb(body.bytes, body.len, JSON_REJECT_DUPLICATES, NULL);
            assert(root);
            json_decref(root);
        }
    }
    buf_fini(&body);
}

static void check_body(struct api *api, unsigned choice, const char *bytes, size_t len)
{
    struct http_request request = {.method = HTTP_POST};
    struct api_call call = {.api = api, .request = &request, .offline = true};
    size_t at = choice % api_table_route_count;
    while (!api_table_routes[at].body)
        at = (at + 1) % api_table_route_count;
    call.route = &api_table_routes[at];
    buf_add(&request.body, bytes, len);
    bool good = api_dispatch_body(&call);
    assert(good ? call.offline_status == 0 : call.offline_status == 400);
    for (int i = 0; good && i < API_BODY_FIELDS_MAX && call.route->body->fields[i]; i++) {
        const struct api_value *value = &call.body[call.route->body->fields[i]];
        assert(!(call.route->body->required & 1u << call.route->body->fields[i]) || value->given);
        assert(!value->given || strlen(value->text) == value->len);
    }
    api_dispatch_fini(&call);
    buf_fini(&call.offline_body);
    buf_fini(&request.body);
    arena_fini(&request.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static struct api *api;
    static const struct api_config config = {.data_dir = "/nonexistent", .node_host = "fuzz"};
    if (!api) {
        const struct api_backend backend = {.store = make_store()};
        api = api_new(&config, &backend);
    }
    if (len < 2)
        return 0;
    char *text = malloc(len + 1);
    assert(text);
    memcpy(text, input, len);
    text[len] = '\0';
    if (text[0] == 'G')
        check_get(api, text + 1);
    else if (text[0] == 'B')
        check_body(api, (unsigned char)text[1], text + 2, len - 2);
    free(text);
    return 0;
}
