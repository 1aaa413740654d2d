/* What every operation takes, gives and can refuse. */
#include "api/api_table.h"

#include <assert.h>
#include <string.h>

#include "api/api_handlers.h"
#include "api/api_stats.h"
#include "base/limits.h"
#include "cron/cron.h"
#include "state/state.h"

enum { FILTER_BYTES_MAX = 1000 }; /* of a text that is looked for */

const struct api_param api_table_queries[API_QUERY_COUNT] = {
    [API_QUERY_LIMIT] = {"limit", API_INTEGER, 1, LIMIT_PAGE_MAX, LIMIT_PAGE_DEFAULT, NULL, "How many at most", false},
    [API_QUERY_OFFSET] = {"offset", API_INTEGER, 0, LIMIT_OFFSET_MAX, 0, NULL,
                          "How many to pass over; to go further use `before`", false},
    [API_QUERY_BEFORE] = {"before", API_UUID, 0, 0, -1, NULL,
                          "Only what is older than this id: the last one of the page before", false},
    [API_QUERY_ID] = {"id", API_STRING, 1, 36, -1, NULL,
                      "Only ids that start or end with these hexadecimal digits; dashes do not count", false},
    [API_QUERY_NAME] = {"name", API_STRING, 1, LIMIT_DAG_NAME_BYTES_MAX, -1, NULL, "Only the DAG of this very name",
                            false},
    [API_QUERY_VERSION] = {"version", API_INTEGER, 1, INT32_MAX, -1, NULL,
                           "A version of the DAG; the latest if absent", false},
    [API_QUERY_STATE] = {"state", API_STRING, 0, 0, -1, api_names_run_states,
                         "Only runs in one of these states, with commas between", true},
    [API_QUERY_DAG_ID] = {"dagId", API_UUID, 0, 0, -1, NULL, "Only what belongs to this DAG", false},
    [API_QUERY_TASK_STATE] = {"taskState", API_STRING, 0, 0, -1, api_names_task_states, "Only tasks in this state",
                            false},
    [API_QUERY_TASK_LIMIT] = {"taskLimit", API_INTEGER, 0, LIMIT_DAG_LOCAL_TASKS_MAX, -1, NULL,
                              "How many tasks at most; all if absent", false},
    [API_QUERY_TASK_AFTER] = {"taskAfter", API_STRING, 1, LIMIT_TASK_ID_BYTES_MAX, -1, NULL,
                              "Only tasks that come after this task id in the DAG file", false},
    [API_QUERY_ATTEMPT] = {"attempt", API_INTEGER, 1, INT32_MAX, -1, NULL, "An attempt's number; the latest if absent",
                            false},
    [API_QUERY_LOG_OFFSET] = {"offset", API_INTEGER, 0, INT64_MAX, 0, NULL, "First byte of the log", false},
    [API_QUERY_LOG_LIMIT] = {"limit", API_INTEGER, 1, LIMIT_LOG_PAGE_BYTES_MAX, LIMIT_LOG_PAGE_BYTES_MAX, NULL,
                             "How many bytes at most", false},
    [API_QUERY_FOLLOW] = {"follow", API_BOOLEAN, 0, 1, 0, NULL, "Stay and send what is written until the attempt ends",
                            false},
    [API_QUERY_STATUS] = {"status", API_STRING, 0, 0, -1, api_names_resolutions,
                          "Only dead letters with this resolution status", false},
    [API_QUERY_EXPR] = {"expr", API_STRING, 1, CRON_TEXT_MAX, -1, NULL, "A cron expression; or give `dagId`", false},
    [API_QUERY_TZ] = {"tz", API_STRING, 1, 100, -1, NULL, "A time zone; the DAG's, or the daemon's, if absent", false},
    [API_QUERY_FROM] = {"from", API_TIME, 0, 0, -1, NULL, "Only what comes after it; now if absent", false},
    [API_QUERY_N] = {"n", API_INTEGER, 1, LIMIT_PREVIEW_MAX, 5, NULL, "How many instants", false},
    [API_QUERY_FORMAT] = {"format", API_STRING, 0, 0, 0, api_names_graph_formats,
                          "JSON, Graphviz's language or a picture; JSON if absent", false},
    [API_QUERY_TRIGGERED_BY] = {"triggeredBy", API_STRING, 0, 0, -1, api_names_triggers,
                                "Only runs that one of these made, with commas between", true},
    [API_QUERY_CREATED_AFTER] = {"createdAfter", API_TIME, 0, 0, -1, NULL, "Only runs that were made then or later",
                            false},
    [API_QUERY_CREATED_BEFORE] = {"createdBefore", API_TIME, 0, 0, -1, NULL, "Only runs that were made before", false},
    [API_QUERY_ERROR] = {"error", API_STRING, 1, FILTER_BYTES_MAX, -1, NULL,
                         "Only failed runs whose error holds this text; case does not matter in ASCII", false},
    [API_QUERY_GROUP] = {"error", API_STRING, 0, FILTER_BYTES_MAX, -1, NULL,
                         "Only those of a group: its `error`, as `GET /api/v1/dlq/groups` gives it", false},
    [API_QUERY_NAME_CONTAINS] = {"nameContains", API_STRING, 1, LIMIT_DAG_NAME_BYTES_MAX, -1, NULL,
                                 "Only DAGs whose name holds this text; case does not matter in ASCII", false},
    [API_QUERY_LAST_RUNS] = {"lastRuns", API_INTEGER, 0, API_STATS_RUNS_MAX, 0, NULL,
                             "How many of the last runs of each DAG `stats` tells of; 0: no `stats`", false},
    [API_QUERY_COLUMNS] = {"limit", API_INTEGER, 1, API_STATS_RUNS_MAX, 20, NULL, "How many runs at most", false},
    [API_QUERY_ROWS] = {"taskLimit", API_INTEGER, 1, 2000, 200, NULL, "How many tasks at most", false},
    [API_QUERY_OUTCOME] = {"outcome", API_STRING, 0, 0, -1, api_names_fires, "Only records with this outcome", false},
};

static const struct api_body body_filter = {
    "DeadLetterFilter", "Which dead letters", {API_FIELD_DAG_ID, API_FIELD_ERROR}, 0, false};

const struct api_param api_table_fields[API_FIELD_COUNT] = {
    [API_FIELD_NAME] = {"name", API_STRING, 1, LIMIT_DAG_NAME_BYTES_MAX, -1, NULL,
                        "The DAG's name; it wins over the file's", false},
    [API_FIELD_YAML] = {"yaml", API_STRING, 0, LIMIT_DAG_LOCAL_BYTES_MAX, -1, NULL, "The DAG file, as text", false},
    [API_FIELD_FROM] = {"from", API_STRING, 0, 0, -1, api_names_rerun_from,
                        "What runs again: what did not succeed, everything, or one task and all that depends on it",
                            false},
    [API_FIELD_TASK_ID] = {"taskId", API_STRING, 1, LIMIT_TASK_ID_BYTES_MAX, -1, NULL,
                           "The task to run again; for `from: task`, and required there", false},
    [API_FIELD_VERSION] = {"version", API_STRING, 0, 0, 0, api_names_rerun_version,
                           "The DAG version: the source run's, or the latest", false},
    [API_FIELD_REASON] = {"reason", API_STRING, 0, LIMIT_DESCRIPTION_BYTES_MAX, -1, NULL, "Why; kept as the notes",
                            false},
    [API_FIELD_NOTES] = {"notes", API_STRING, 0, LIMIT_DESCRIPTION_BYTES_MAX, -1, NULL, "What was done about it",
                            false},
    [API_FIELD_RESOLVED_BY] = {"resolvedBy", API_STRING, 0, LIMIT_NAME_BYTES_MAX, -1, NULL, "Who resolved it", false},
    [API_FIELD_ACTION] = {"action", API_STRING, 0, 0, -1, api_names_bulk_actions, "What is done with each", false},
    [API_FIELD_FILTER] = {"filter", API_REF, 0, 0, -1, NULL, "Which; without it all that are pending", false},
    [API_FIELD_DAG_ID] = {"dagId", API_UUID, 0, 0, -1, NULL, "Only what belongs to this DAG", false},
    [API_FIELD_ERROR] = {"error", API_STRING, 0, LIMIT_DESCRIPTION_BYTES_MAX, -1, NULL,
                         "Only those of a group: its `error`, as `GET /api/v1/dlq/groups` gives it", false},
    [API_FIELD_MAX] = {"max", API_INTEGER, 1, LIMIT_PAGE_MAX, 100, NULL, "How many at most, newest first", false},
    [API_FIELD_DRY_RUN] = {"dryRun", API_BOOLEAN, 0, 1, 0, NULL, "Only say what there is, do nothing", false},
    [API_FIELD_BACKFILL_FROM] = {"from", API_TIME, 0, 0, -1, NULL, "The first instant is not before it", false},
    [API_FIELD_TO] = {"to", API_TIME, 0, 0, -1, NULL, "The last instant is not after it; not in the future", false},
    [API_FIELD_BACKFILL_MAX] = {"max", API_INTEGER, 1, LIMIT_BACKFILL_MAX, LIMIT_BACKFILL_MAX, NULL,
                                "At most so many instants, oldest first", false},
    [API_FIELD_PARALLEL] = {"parallel", API_INTEGER, 1, LIMIT_BACKFILL_PARALLEL_MAX, -1, NULL,
                            "So many of its runs at once, also where the schedule's own may not overlap. Without it "
                            "4 with `overlap: allow`, else 1", false},
    [API_FIELD_CHANGES] = {"changes", API_JSON, 0, LIMIT_CHANGES_BYTES_MAX, -1, NULL,
                           "Fields of the task that the new run has otherwise, as a DAG file would say them: "
                           "`{command, env: {NAME: value}, timeout, ...}`; the DAG stays as it is", false},
    [API_FIELD_AGAIN] = {"again", API_BOOLEAN, 0, 1, 0, NULL, "Those that were fired before too", false},
    [API_FIELD_TOKEN] = {"token", API_STRING, 1, 200, -1, NULL, "A token, as `pawl token create` gave it", false},
    [API_FIELD_RUN_ACTION] = {"action", API_STRING, 0, 0, -1, api_names_run_actions, "What to do", false},
    [API_FIELD_RUN_FILTER] = {"filter", API_REF, 0, 0, -1, NULL, "Which; without it all that the action can be for",
                            false},
    [API_FIELD_RUN_FROM] = {"from", API_STRING, 0, 0, 0, api_names_bulk_from,
                            "What of each run runs again: what did not succeed, or everything", false},
    [API_FIELD_STATE] = {"state", API_STRING, 0, RUN_STATE_COUNT, -1, api_names_run_states,
                         "Only runs in one of these states", true},
    [API_FIELD_TRIGGERED_BY] = {"triggeredBy", API_STRING, 0, TRIGGER_COUNT, -1, api_names_triggers,
                                "Only runs that one of these made", true},
    [API_FIELD_CREATED_AFTER] = {"createdAfter", API_TIME, 0, 0, -1, NULL, "Only runs that were made then or later",
                            false},
    [API_FIELD_CREATED_BEFORE] = {"createdBefore", API_TIME, 0, 0, -1, NULL, "Only runs that were made before", false},
    [API_FIELD_ERROR_PART] = {"error", API_STRING, 1, FILTER_BYTES_MAX, -1, NULL,
                              "Only failed runs whose error holds this text; case does not matter in ASCII", false},
    [API_FIELD_RUN_IDS] = {"runIds", API_UUID, 0, LIMIT_PAGE_MAX, -1, NULL, "Only these runs", true},
};

#define FIELD(id) (UINT64_C(1) << API_FIELD_##id)

static const struct api_body body_empty = {"Empty", "An empty object, or no body at all", {0}, 0, false};
static const struct api_body body_dag_create = {
    "DagCreate", "A DAG to make", {API_FIELD_NAME, API_FIELD_YAML}, FIELD(NAME) | FIELD(YAML), true};
static const struct api_body body_dag_check = {
    "DagCheck", "A DAG file to check", {API_FIELD_NAME, API_FIELD_YAML}, FIELD(YAML), true};
static const struct api_body body_dag_source = {
    "DagSource", "A DAG file", {API_FIELD_YAML}, FIELD(YAML), true};
static const struct api_body body_rerun = {"Rerun", "What of a run to run again",
                                           {API_FIELD_FROM, API_FIELD_TASK_ID, API_FIELD_VERSION}, FIELD(FROM), false};
static const struct api_body body_retry = {
    "DeadLetterRetry", "How a task is tried again; as it was, without a body", {API_FIELD_CHANGES}, 0, false};
static const struct api_body body_skip = {"DeadLetterSkip", "Why a task is skipped", {API_FIELD_REASON}, 0, false};
static const struct api_body body_resolve = {
    "DeadLetterResolve", "How a dead letter was settled", {API_FIELD_NOTES, API_FIELD_RESOLVED_BY}, 0, false};

static const struct api_body body_bulk = {
    "DeadLetterBulk", "What to do with many dead letters",
    {API_FIELD_ACTION, API_FIELD_FILTER, API_FIELD_MAX, API_FIELD_DRY_RUN, API_FIELD_REASON, API_FIELD_NOTES,
     API_FIELD_RESOLVED_BY}, FIELD(ACTION), false};
static const struct api_body body_backfill = {
    "BackfillRequest", "What of the past to make up for",
    {API_FIELD_BACKFILL_FROM, API_FIELD_TO, API_FIELD_BACKFILL_MAX, API_FIELD_PARALLEL,
     API_FIELD_DRY_RUN, API_FIELD_AGAIN},
    FIELD(BACKFILL_FROM) | FIELD(TO), false};
static const struct api_body body_session = {"SessionCreate", "Who signs in", {API_FIELD_TOKEN}, FIELD(TOKEN), false};

static const struct api_body body_run_filter = {
    "RunFilter", "Which runs",
    {API_FIELD_RUN_IDS, API_FIELD_STATE, API_FIELD_DAG_ID, API_FIELD_TRIGGERED_BY, API_FIELD_CREATED_AFTER,
     API_FIELD_CREATED_BEFORE, API_FIELD_ERROR_PART}, 0, false};
static const struct api_body body_run_bulk = {
    "RunBulk", "What to do with many runs",
    {API_FIELD_RUN_ACTION, API_FIELD_RUN_FILTER, API_FIELD_MAX, API_FIELD_DRY_RUN, API_FIELD_RUN_FROM,
     API_FIELD_VERSION}, FIELD(RUN_ACTION), false};

#define RUN_FILTERS                                                                                              \
    API_QUERY_LIMIT, API_QUERY_OFFSET, API_QUERY_BEFORE, API_QUERY_STATE, API_QUERY_TRIGGERED_BY,                \
        API_QUERY_CREATED_AFTER, API_QUERY_CREATED_BEFORE, API_QUERY_ERROR
#define RUN_FILTERS_TEXT                                                                                         \
    "For `triggeredBy` and `error` the newest 10000 runs that fit the rest are looked at: a page may then hold " \
    "fewer than `limit`, or none, though there are more; `X-Next-Before` says where to go on. "

#define RUN_HEADERS API_HEADER_IDEMPOTENCY_KEY | API_HEADER_TRACEPARENT | API_HEADER_TRACESTATE
#define RUN_MAKING_TEXT                                                                                          \
    "The answer comes when the run is durable. The same `Idempotency-Key` within 24 hours gives the same run "   \
    "again, as it is then. "

#define GRAPH_TEXT                                                                                               \
    "Layers go from left to right; a task stands right of all it needs, one without any edge in a grid below. "  \
    "With more than 20000 tasks or 100000 edges `collapsed` is true and whole layers are given as groups. "

static const char *const graph_types[] = {"text/vnd.graphviz", "image/svg+xml", NULL};

const struct api_body *api_table_object(const struct api_param *field)
{
    return field == &api_table_fields[API_FIELD_FILTER]       ? &body_filter
           : field == &api_table_fields[API_FIELD_RUN_FILTER] ? &body_run_filter
                                                              : NULL;
}

bool api_table_requires(const struct api_body *body, unsigned field)
{
    return body->required >> field & 1;
}

const struct api_tag api_table_tags[] = {
    {"cluster", "Workers and nodes"},
    {"dags", "DAGs and their versions"},
    {"dlq", "Dead letters: failed tasks kept for a person to retry, skip or resolve"},
    {"documents", "This description"},
    {"events", "What changes, as it changes"},
    {"health", "Health, probes and metrics"},
    {"runs", "Runs and their tasks"},
    {"schedules", "When DAGs fire by themselves"},
    {"sessions", "Who asks, and the web UI's sessions"},
};
const size_t api_table_tag_count = sizeof api_table_tags / sizeof *api_table_tags;

const struct api_route api_table_routes[] = {
    /* DAGs */
    {HTTP_GET, "/api/v1/dags", "listDags", "dags", "DAGs, newest first", NULL, API_ROLE_VIEWER,
     {API_QUERY_LIMIT, API_QUERY_OFFSET, API_QUERY_BEFORE, API_QUERY_NAME, API_QUERY_NAME_CONTAINS, API_QUERY_ID,
      API_QUERY_LAST_RUNS},
     .status = 200, .schema = "Dag", .is_list = true, .pages = true, .needs_store = true, .handler = api_list_dags},
    {HTTP_POST, "/api/v1/dags", "createDag", "dags", "Makes a DAG",
     "The first version of a DAG. What is wrong with the file is listed in `errors`, all of it at once.",
     API_ROLE_ADMIN, .body = &body_dag_create, .status = 201, .schema = "Dag", .needs_store = true,
     .errors = {ERROR_PARSE_ERROR, ERROR_VALIDATION_ERROR, ERROR_DAG_EXISTS}, .handler = api_create_dag},
    {HTTP_POST, "/api/v1/dags/validate", "validateDag", "dags", "Checks a DAG file and keeps nothing",
     "Valid is what `createDag` takes with the same body, and `updateDag`. Both name the DAG, so a file without a name "
     "only gets a warning; `pawl run` and `pawl dags apply` refuse it.",
     API_ROLE_VIEWER, .body = &body_dag_check, .status = 200, .schema = "Validation", .reads = true,
     .handler = api_validate_dag},
    {HTTP_POST, "/api/v1/dags/graph", "drawDag", "dags", "Draws a DAG file and keeps nothing",
     "The graph as `getDagGraph` gives it, with `dagId` and `version` null.", API_ROLE_VIEWER,
     .body = &body_dag_source, .status = 200, .schema = "Graph", .reads = true,
     .errors = {ERROR_PARSE_ERROR, ERROR_VALIDATION_ERROR}, .handler = api_draw_dag},
    {HTTP_GET, "/api/v1/dags/{dagId}", "getDag", "dags", "One DAG",
     "With `lastRuns` there is no ETag.", API_ROLE_VIEWER, {API_QUERY_LAST_RUNS}, .status = 200, .schema = "Dag",
     .etag = true, .needs_store = true, .errors = {ERROR_DAG_NOT_FOUND}, .handler = api_get_dag},
    {HTTP_PUT, "/api/v1/dags/{dagId}", "updateDag", "dags", "Makes a new version of a DAG",
     "The version grows by one if the file changed, else nothing happens. The name stays what it is. Runs keep the "
     "version they started with.", API_ROLE_ADMIN, .headers = API_HEADER_IF_MATCH, .body = &body_dag_source,
     .status = 200, .schema = "Dag", .needs_store = true,
     .errors = {ERROR_PARSE_ERROR, ERROR_VALIDATION_ERROR, ERROR_DAG_NOT_FOUND, ERROR_FULL},
     .handler = api_update_dag},
    {HTTP_DELETE, "/api/v1/dags/{dagId}", "deleteDag", "dags", "Deletes a DAG",
     "Its runs stay readable and its name is free again.", API_ROLE_ADMIN, .status = 204, .needs_store = true,
     .errors = {ERROR_DAG_NOT_FOUND, ERROR_DAG_HAS_ACTIVE_RUNS}, .handler = api_delete_dag},
    {HTTP_GET, "/api/v1/dags/{dagId}/source", "getDagSource", "dags", "The YAML as it was given",
     "Also of a DAG that was deleted.", API_ROLE_VIEWER, {API_QUERY_VERSION}, .status = 200,
     .content_type = "application/yaml", .etag = true, .needs_store = true, .errors = {ERROR_DAG_NOT_FOUND},
     .handler = api_get_dag_source},
    {HTTP_GET, "/api/v1/dags/{dagId}/versions", "listDagVersions", "dags", "The versions of a DAG, newest first",
     "Also of a DAG that was deleted.", API_ROLE_VIEWER, {API_QUERY_LIMIT, API_QUERY_OFFSET}, .status = 200,
     .schema = "DagVersion", .is_list = true, .needs_store = true, .errors = {ERROR_DAG_NOT_FOUND},
     .handler = api_list_dag_versions},
    {HTTP_GET, "/api/v1/dags/{dagId}/graph", "getDagGraph", "dags", "A DAG's tasks as they are drawn",
     GRAPH_TEXT "Also of a DAG that was deleted.", API_ROLE_VIEWER, {API_QUERY_VERSION, API_QUERY_FORMAT},
     .status = 200, .schema = "Graph", .other_types = graph_types, .etag = true, .needs_store = true,
     .errors = {ERROR_DAG_NOT_FOUND}, .handler = api_get_dag_graph},
    {HTTP_POST, "/api/v1/dags/{dagId}/pause", "pauseDag", "dags", "Stops a DAG's schedule",
     "Triggers go on working.", API_ROLE_OPERATOR, .body = &body_empty, .status = 204, .needs_store = true,
     .errors = {ERROR_DAG_NOT_FOUND}, .handler = api_pause_dag},
    {HTTP_POST, "/api/v1/dags/{dagId}/resume", "resumeDag", "dags", "Lets a DAG's schedule go on", NULL,
     API_ROLE_OPERATOR, .body = &body_empty, .status = 204, .needs_store = true, .errors = {ERROR_DAG_NOT_FOUND},
     .handler = api_resume_dag},

    {HTTP_GET, "/api/v1/dags/{dagId}/fires", "listDagFires", "schedules",
     "What became of the instants of a DAG's schedule, newest first",
     "Each instant is covered by one record; a stretch of skipped ones shares one. Also of a DAG that was deleted.",
     API_ROLE_VIEWER, {API_QUERY_LIMIT, API_QUERY_OFFSET, API_QUERY_BEFORE, API_QUERY_OUTCOME}, .status = 200,
     .schema = "Fire", .is_list = true, .needs_store = true, .errors = {ERROR_DAG_NOT_FOUND},
     .handler = api_list_dag_fires},
    {HTTP_POST, "/api/v1/dags/{dagId}/backfill", "backfillDag", "schedules",
     "Fires instants of the schedule that have passed",
     "202 when they wait to be fired, 200 for a dry run. What was fired before is left out unless `again` is true.",
     API_ROLE_OPERATOR, .body = &body_backfill, .status = 202, .also = 200, .schema = "Backfill",
     .needs_store = true, .errors = {ERROR_DAG_NOT_FOUND, ERROR_NO_SCHEDULE, ERROR_FULL, ERROR_IO},
     .handler = api_backfill_dag},
    {HTTP_GET, "/api/v1/dags/{dagId}/history", "getDagHistory", "dags", "How each task went in the last runs",
     "The rows are tasks of the newest of these runs, the columns runs, newest first. `limit` times `taskLimit` is at "
     "most 40000. Also of a DAG that was deleted.", API_ROLE_VIEWER,
     {API_QUERY_COLUMNS, API_QUERY_BEFORE, API_QUERY_ROWS, API_QUERY_TASK_AFTER}, .status = 200, .schema = "History",
     .pages = true, .needs_store = true, .errors = {ERROR_DAG_NOT_FOUND}, .handler = api_get_dag_history},
    {HTTP_GET, "/api/v1/schedule/next", "listNextFires", "schedules", "The next fires of all DAGs, soonest first",
     "Of DAGs that are not paused; of the newest 10000.", API_ROLE_VIEWER, {API_QUERY_LIMIT, API_QUERY_FROM},
     .status = 200, .schema = "Upcoming", .needs_store = true, .handler = api_list_upcoming},
    {HTTP_GET, "/api/v1/schedule/preview", "previewSchedule", "schedules", "When a schedule fires next",
     "Of an expression or of a DAG: the local time, UTC, and why then.", API_ROLE_VIEWER,
     {API_QUERY_EXPR, API_QUERY_DAG_ID, API_QUERY_TZ, API_QUERY_FROM, API_QUERY_N}, .status = 200,
     .schema = "Preview", .needs_store = true, .errors = {ERROR_DAG_NOT_FOUND, ERROR_NO_SCHEDULE, ERROR_IO},
     .handler = api_preview_schedule},

    /* runs */
    {HTTP_POST, "/api/v1/dags/{dagId}/runs", "triggerDag", "runs", "Starts a run of a DAG's latest version",
     RUN_MAKING_TEXT "503 FULL has `Retry-After`.", API_ROLE_OPERATOR, .headers = RUN_HEADERS,
     .body = &body_empty, .status = 202, .schema = "Run", .needs_store = true,
     .errors = {ERROR_DAG_NOT_FOUND, ERROR_FULL}, .handler = api_trigger_dag},
    {HTTP_GET, "/api/v1/dags/{dagId}/runs", "listDagRuns", "runs", "Runs of a DAG, newest first",
     RUN_FILTERS_TEXT "Also of a DAG that was deleted.", API_ROLE_VIEWER, {RUN_FILTERS}, .status = 200,
     .schema = "Run", .is_list = true, .pages = true, .needs_store = true, .errors = {ERROR_DAG_NOT_FOUND},
     .handler = api_list_dag_runs},
    {HTTP_GET, "/api/v1/runs", "listRuns", "runs", "Runs, newest first", RUN_FILTERS_TEXT, API_ROLE_VIEWER,
     {RUN_FILTERS, API_QUERY_DAG_ID, API_QUERY_ID}, .status = 200, .schema = "Run", .is_list = true, .pages = true,
     .needs_store = true, .handler = api_list_runs},
    {HTTP_POST, "/api/v1/runs/bulk", "bulkRuns", "runs", "Cancels or reruns many runs",
     "Canceling is for active runs, rerunning for ended ones: without `state` for the failed. Each run is judged on "
     "its own: `skipped` counts those that could not be done, because they ended meanwhile, there was nothing to run "
     "again, their DAG is gone or no more runs are taken. The answer comes when all of it is durable. For "
     "`triggeredBy` and `error` the newest 10000 runs that fit the rest are looked at.", API_ROLE_OPERATOR,
     .body = &body_run_bulk, .status = 200, .schema = "RunBulkResult", .needs_store = true, .handler = api_bulk_runs},
    {HTTP_GET, "/api/v1/runs/{runId}", "getRun", "runs", "A run and its tasks",
     "Live while the run is active. Without `taskLimit` all tasks are given; `taskLimit=0` gives none.",
     API_ROLE_VIEWER, {API_QUERY_TASK_STATE, API_QUERY_TASK_LIMIT, API_QUERY_TASK_AFTER}, .status = 200,
     .schema = "RunStatus", .etag = true, .needs_store = true, .errors = {ERROR_RUN_NOT_FOUND},
     .handler = api_get_run},
    {HTTP_GET, "/api/v1/runs/{runId}/graph", "getRunGraph", "runs", "A run's tasks as they are drawn",
     "Each with its state. " GRAPH_TEXT "Of an active run there is no ETag.", API_ROLE_VIEWER,
     {API_QUERY_FORMAT}, .status = 200, .schema = "Graph", .other_types = graph_types, .etag = true,
     .needs_store = true, .errors = {ERROR_RUN_NOT_FOUND}, .handler = api_get_run_graph},
    {HTTP_POST, "/api/v1/runs/{runId}/cancel", "cancelRun", "runs", "Cancels a run",
     "What has not ended ends `canceled`; an exit that came first wins. Asking again is no error.", API_ROLE_OPERATOR,
     .body = &body_empty, .status = 202, .schema = "Run", .needs_store = true,
     .errors = {ERROR_RUN_NOT_FOUND, ERROR_RUN_FINISHED}, .handler = api_cancel_run},
    {HTTP_POST, "/api/v1/runs/{runId}/rerun", "rerunRun", "runs", "Makes a new run of an ended one",
     RUN_MAKING_TEXT
     "What does not run again is kept. A rerun that succeeds resolves the dead letters of its source when everything "
     "that had failed was part of it.", API_ROLE_OPERATOR, .headers = RUN_HEADERS, .body = &body_rerun,
     .status = 202, .schema = "Run", .needs_store = true,
     .errors = {ERROR_RUN_NOT_FOUND, ERROR_DAG_NOT_FOUND, ERROR_TASK_NOT_FOUND, ERROR_RUN_ACTIVE,
                ERROR_NOTHING_TO_RERUN, ERROR_FULL}, .handler = api_rerun_run},
    {HTTP_GET, "/api/v1/runs/{runId}/tasks/{taskId}/log", "getTaskLog", "runs", "A task's log, by byte range",
     "Past the end the answer is 200 and empty. `X-Log-Size` is the log's size in bytes. With `follow=true` the "
     "answer goes on until the attempt has ended. A `/` in a task id is sent as `%2F`.", API_ROLE_VIEWER,
     {API_QUERY_ATTEMPT, API_QUERY_LOG_OFFSET, API_QUERY_LOG_LIMIT, API_QUERY_FOLLOW}, .status = 200,
     .content_type = "text/plain; charset=utf-8", .needs_store = true,
     .errors = {ERROR_RUN_NOT_FOUND, ERROR_TASK_NOT_FOUND, ERROR_NOT_FOUND, ERROR_IO}, .handler = api_get_task_log},
    {HTTP_GET, "/api/v1/task-instances/{id}/log", "getTaskInstanceLog", "runs",
     "A task instance's log, by byte range", "The same as a task's log, by `taskInstanceId`.", API_ROLE_VIEWER,
     {API_QUERY_ATTEMPT, API_QUERY_LOG_OFFSET, API_QUERY_LOG_LIMIT, API_QUERY_FOLLOW}, .status = 200,
     .content_type = "text/plain; charset=utf-8", .needs_store = true,
     .errors = {ERROR_TASK_NOT_FOUND, ERROR_NOT_FOUND, ERROR_IO}, .handler = api_get_instance_log},
    {HTTP_GET, "/api/v1/runs/{runId}/tasks/{taskId}/why", "getTaskWhy", "runs", "What a task waits for",
     "What it waits for, since when, and until when if that is known; of an ended task how it came to its end.",
     API_ROLE_VIEWER, .status = 200, .schema = "Why", .needs_store = true,
     .errors = {ERROR_RUN_NOT_FOUND, ERROR_TASK_NOT_FOUND}, .handler = api_get_task_why},

    {HTTP_GET, "/api/v1/runs/{runId}/tasks/{taskId}/attempts", "listTaskAttempts", "runs",
     "A task's attempts, oldest first", NULL, API_ROLE_VIEWER, .status = 200, .schema = "Attempt", .is_list = true,
     .needs_store = true, .errors = {ERROR_RUN_NOT_FOUND, ERROR_TASK_NOT_FOUND}, .handler = api_list_task_attempts},
    {HTTP_GET, "/api/v1/runs/{runId}/critical-path", "getCriticalPath", "runs", "What a run's duration came from",
     "From the task that ended last back to what it was ready by, and so on: the tasks that must get faster for the "
     "run to end earlier. Of an active run as far as it got.", API_ROLE_VIEWER, .status = 200,
     .schema = "CriticalPath", .needs_store = true, .errors = {ERROR_RUN_NOT_FOUND},
     .handler = api_get_critical_path},

    /* events */
    {HTTP_GET, "/api/v1/runs/{runId}/events", "getRunEvents", "events", "What changes in a run, as it changes",
     "A stream of server-sent events: `run` with a Run, `task` with a TaskStatus and its `runId`. It begins with the "
     "run as it is and ends with the run. After a break it goes on behind `Last-Event-ID`; when that is too old it "
     "begins with `reset`: read everything anew. States that came and went at once are not told. A reader that is too "
     "slow is dropped: its stream ends before the run does. Comments every 15 seconds show that the stream lives.",
     API_ROLE_VIEWER, .headers = API_HEADER_LAST_EVENT_ID, .status = 200,
     .content_type = "text/event-stream", .stream = true, .needs_store = true, .errors = {ERROR_RUN_NOT_FOUND},
     .handler = api_get_run_events},
    {HTTP_GET, "/api/v1/events", "getEvents", "events", "What changes anywhere, as it changes",
     "The same for all runs, and `worker` with a Worker; of several nodes on one store, whichever is asked tells of "
     "all. It begins with what happens next and has no end. A `reset` in the middle says that something was missed.",
     API_ROLE_VIEWER, .headers = API_HEADER_LAST_EVENT_ID, .status = 200,
     .content_type = "text/event-stream", .stream = true, .handler = api_get_events},

    /* workers */
    {HTTP_GET, "/api/v1/workers", "listWorkers", "cluster", "All workers", NULL, API_ROLE_VIEWER, .status = 200,
     .schema = "Worker", .is_list = true, .handler = api_list_workers},
    {HTTP_GET, "/api/v1/workers/tasks", "listRunningTasks", "cluster", "What runs now on this node",
     "In no order.", API_ROLE_VIEWER, {API_QUERY_LIMIT}, .status = 200, .schema = "RunningTask", .is_list = true,
     .handler = api_list_running_tasks},
    {HTTP_POST, "/api/v1/workers/{workerId}/drain", "drainWorker", "cluster", "Gives a worker nothing new",
     "What it runs goes on to its end.", API_ROLE_OPERATOR, .body = &body_empty, .status = 204,
     .errors = {ERROR_WORKER_NOT_FOUND}, .handler = api_drain_worker},
    {HTTP_POST, "/api/v1/workers/{workerId}/resume", "resumeWorker", "cluster", "Ends a worker's drain", NULL,
     API_ROLE_OPERATOR, .body = &body_empty, .status = 204, .errors = {ERROR_WORKER_NOT_FOUND},
     .handler = api_resume_worker},
    {HTTP_GET, "/api/v1/cluster", "getCluster", "cluster", "The nodes and who leads them", NULL, API_ROLE_VIEWER,
     .status = 200, .schema = "Cluster", .handler = api_get_cluster},
    {HTTP_GET, "/api/v1/config", "getConfig", "cluster", "This node's settings and where each came from",
     "The values in use: what takes a restart is shown as it was at the start. Passwords in addresses are masked.",
     API_ROLE_ADMIN, .status = 200, .schema = "Setting", .is_list = true, .handler = api_get_config},

    /* dead letters */
    {HTTP_GET, "/api/v1/dlq", "listDeadLetters", "dlq", "Dead letters, newest first",
     "For `error` the newest 20000 letters that fit the rest are looked at: a page may then hold fewer than `limit`, "
     "or none, though there are more; `X-Next-Before` says where to go on.", API_ROLE_VIEWER,
     {API_QUERY_LIMIT, API_QUERY_OFFSET, API_QUERY_BEFORE, API_QUERY_STATUS, API_QUERY_DAG_ID, API_QUERY_GROUP,
      API_QUERY_ID}, .status = 200, .schema = "DeadLetter", .is_list = true, .pages = true, .needs_store = true,
     .handler = api_list_letters},
    {HTTP_GET, "/api/v1/dlq/stats", "getDeadLetterStats", "dlq", "How many dead letters there are", NULL,
     API_ROLE_VIEWER, .status = 200, .schema = "DeadLetterStats", .needs_store = true,
     .handler = api_get_letter_stats},
    {HTTP_GET, "/api/v1/dlq/groups", "listDeadLetterGroups", "dlq", "Dead letters by what went wrong, most first",
     "Errors that differ only in numbers, ids and paths are one group. The newest 20000 letters are looked at. Without "
     "`status` those that are pending.", API_ROLE_VIEWER, {API_QUERY_LIMIT, API_QUERY_STATUS, API_QUERY_DAG_ID},
     .status = 200, .schema = "DeadLetterGroup", .is_list = true, .needs_store = true,
     .handler = api_get_letter_groups},
    {HTTP_POST, "/api/v1/dlq/bulk", "bulkDeadLetters", "dlq", "Retries, skips or resolves many pending dead letters",
     "Each of its own: `skipped` counts those that could not be done, because somebody else was faster, their DAG is "
     "gone or no more runs are taken; they stay pending. The answer comes when all of it is durable.",
     API_ROLE_OPERATOR, .body = &body_bulk, .status = 200, .schema = "DeadLetterBulkResult", .needs_store = true,
     .handler = api_bulk_letters},
    {HTTP_GET, "/api/v1/dlq/{id}", "getDeadLetter", "dlq", "One dead letter", NULL, API_ROLE_VIEWER, .status = 200,
     .schema = "DeadLetter", .needs_store = true, .errors = {ERROR_DEAD_LETTER_NOT_FOUND},
     .handler = api_get_letter},
    {HTTP_POST, "/api/v1/dlq/{id}/retry", "retryDeadLetter", "dlq",
     "Runs the task again, and what was skipped because of it",
     RUN_MAKING_TEXT "Once a letter is resolved the answer is 409, with the new run's id in `details`. Who sends "
     "`changes` says what is run, as who changes DAGs does: that needs the role admin.",
     API_ROLE_OPERATOR, .headers = RUN_HEADERS, .body = &body_retry, .status = 202, .schema = "Run",
     .needs_store = true, .errors = {ERROR_DEAD_LETTER_NOT_FOUND, ERROR_DAG_NOT_FOUND, ERROR_ALREADY_RESOLVED,
                                     ERROR_RUN_ACTIVE, ERROR_FULL}, .handler = api_retry_letter},
    {HTTP_POST, "/api/v1/dlq/{id}/skip", "skipDeadLetter", "dlq",
     "Makes a run in which the task is skipped and its dependents run",
     RUN_MAKING_TEXT "Once a letter is resolved the answer is 409, with the new run's id in `details`.",
     API_ROLE_OPERATOR, .headers = RUN_HEADERS, .body = &body_skip, .status = 202, .schema = "Run",
     .needs_store = true, .errors = {ERROR_DEAD_LETTER_NOT_FOUND, ERROR_DAG_NOT_FOUND, ERROR_ALREADY_RESOLVED,
                                     ERROR_RUN_ACTIVE, ERROR_FULL}, .handler = api_skip_letter},
    {HTTP_POST, "/api/v1/dlq/{id}/resolve", "resolveDeadLetter", "dlq", "Marks a dead letter as settled",
     "Makes no run. Once a letter is resolved the answer is 409.", API_ROLE_OPERATOR, .body = &body_resolve,
     .status = 204, .needs_store = true, .errors = {ERROR_DEAD_LETTER_NOT_FOUND, ERROR_ALREADY_RESOLVED},
     .handler = api_resolve_letter},

    /* health */
    {HTTP_GET, "/health", "getHealth", "health", "How each part is", "503 when a part has failed.", API_ROLE_NONE,
     .status = 200, .schema = "Health", .also = 503, .handler = api_get_health},
    {HTTP_GET, "/ready", "getReady", "health", "Whether new work is taken",
     "503 before recovery is complete, while the daemon stops, and when the store takes no new work.", API_ROLE_NONE,
     .status = 200, .schema = "Probe", .also = 503, .handler = api_get_ready},
    {HTTP_GET, "/live", "getLive", "health", "Whether the daemon makes progress",
     "503 when it should be restarted.", API_ROLE_NONE, .status = 200, .schema = "Probe", .also = 503,
     .handler = api_get_live},
    {HTTP_GET, "/metrics", "getMetrics", "health", "Metrics in Prometheus' text form", NULL, API_ROLE_VIEWER,
     .status = 200, .content_type = "text/plain; version=0.0.4; charset=utf-8", .handler = api_get_metrics},

    /* sessions */
    {HTTP_GET, "/api/v1/me", "getMe", "sessions", "Who asks", "Never refused: `role` is null where nobody is known.",
     API_ROLE_NONE, .status = 200, .schema = "Me", .handler = api_get_me},
    {HTTP_POST, "/session", "createSession", "sessions", "Begins a session of the web UI",
     "Puts the token into a cookie that scripts cannot read (`HttpOnly`, `SameSite=Strict`). A request with the cookie "
     "counts as one with the token; programs send the header instead.", API_ROLE_NONE, .body = &body_session,
     .status = 200, .schema = "Me", .errors = {ERROR_UNAUTHORIZED, ERROR_TOO_MANY_REQUESTS},
     .handler = api_create_session},
    {HTTP_DELETE, "/session", "deleteSession", "sessions", "Ends a session of the web UI",
     "Takes the cookie away. The token itself stays valid.", API_ROLE_NONE, .status = 204,
     .handler = api_delete_session},

    /* documents */
    {HTTP_GET, "/docs/openapi.yaml", "getOpenapi", "documents", "This document", NULL, API_ROLE_NONE, .status = 200,
     .content_type = "application/yaml", .etag = true, .handler = api_get_openapi},
    {HTTP_GET, "/docs/dag.schema.json", "getDagSchema", "documents", "The JSON Schema of a DAG file", "Draft 7.",
     API_ROLE_NONE, .status = 200, .content_type = "application/schema+json", .etag = true,
     .handler = api_get_dag_schema},
    {HTTP_GET, "/docs", "getDocs", "documents", "This document as a page", NULL, API_ROLE_NONE, .status = 200,
     .content_type = "text/html; charset=utf-8", .etag = true, .handler = api_get_docs},
    {HTTP_GET, "/docs/style.css", "getDocsStyle", "documents", "How the pages look", NULL, API_ROLE_NONE,
     .status = 200, .content_type = "text/css; charset=utf-8", .etag = true, .hidden = true,
     .handler = api_get_docs_style},
    {HTTP_GET, "/", "getHome", "documents", "The web UI", NULL, API_ROLE_NONE, .status = 200,
     .content_type = "text/html; charset=utf-8", .etag = true, .handler = api_get_ui_page},
    {HTTP_GET, "/ui/{file}", "getUiFile", "documents", "What the web UI loads",
     "Names that hold a hash of their content may be kept for ever.", API_ROLE_NONE, .status = 200, .etag = true,
     .hidden = true, .errors = {ERROR_NOT_FOUND}, .handler = api_get_ui_file},
};
const size_t api_table_route_count = sizeof api_table_routes / sizeof *api_table_routes;

const char *api_table_role_name(enum api_role role)
{
    static const char *const names[] = {NULL, "viewer", "operator", "admin"};
    static_assert(sizeof names / sizeof *names == API_ROLE_COUNT, "one name per role");
    return names[role];
}

const char *api_table_header_name(enum api_header header)
{
    return header == API_HEADER_IF_MATCH          ? "If-Match"
           : header == API_HEADER_IDEMPOTENCY_KEY ? "Idempotency-Key"
           : header == API_HEADER_TRACEPARENT     ? "traceparent"
           : header == API_HEADER_TRACESTATE      ? "tracestate"
                                                  : "Last-Event-ID";
}

const char *api_table_header_text(enum api_header header)
{
    return header == API_HEADER_IF_MATCH ? "The ETag of the version that is to be replaced; `*`: whatever it is"
           : header == API_HEADER_IDEMPOTENCY_KEY
               ? "At most 255 bytes that name this request, so that it can be sent again"
           : header == API_HEADER_TRACEPARENT
               ? "The trace the run shall be part of (W3C Trace Context); passed to its tasks. Ignored when malformed"
           : header == API_HEADER_TRACESTATE
               ? "What others keep with the trace, at most 512 bytes; passed to the run's tasks as it is"
               : "The id of the last event that was received";
}

size_t api_table_next_parameter(const char **cursor, const char **ret_name)
{
    const char *open = strchr(*cursor, '{');
    if (!open)
        return 0;
    size_t len = strcspn(open + 1, "}");
    *ret_name = open + 1;
    *cursor = open + 1 + len;
    return len;
}

const char *api_table_parameter_text(const char *name, size_t len)
{
    static const struct {
        const char *name, *text;
    } texts[] = {
        {"dagId", "A DAG's id"},
        {"runId", "A run's id"},
        {"taskId", "A task's id in its DAG; `/` is sent as `%2F`"},
        {"workerId", "A worker's id"},
        {"id", "The id"},
        {"file", "A file's name"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strlen(texts[i].name) == len && memcmp(texts[i].name, name, len) == 0)
            return texts[i].text;
    assert(false && "a path parameter without a text");
    return NULL;
}

bool api_table_is_common(enum error_code code)
{
    return code == ERROR_BAD_REQUEST || code == ERROR_FORBIDDEN || code == ERROR_URI_TOO_LONG
           || code == ERROR_HEADERS_TOO_LARGE || code == ERROR_INTERNAL || code == ERROR_OUT_OF_MEMORY;
}

size_t api_table_errors(const struct api_route *route, enum error_code *codes)
{
    bool has[ERROR_COUNT] = {0};
    bool writes = route->method != HTTP_GET && !route->reads;
    has[ERROR_UNAUTHORIZED] = has[ERROR_TOO_MANY_REQUESTS] = route->role != API_ROLE_NONE;
    has[ERROR_PAYLOAD_TOO_LARGE] = route->body != NULL;
    has[ERROR_LENGTH_REQUIRED] = has[ERROR_UNSUPPORTED_MEDIA_TYPE] = route->body && route->body->required;
    has[ERROR_PRECONDITION_FAILED] = (route->headers & API_HEADER_IF_MATCH) != 0;
    has[ERROR_IDEMPOTENCY_MISMATCH] = (route->headers & API_HEADER_IDEMPOTENCY_KEY) != 0;
    has[ERROR_STORE_FAILED] = has[ERROR_STORE_AWAY] = route->needs_store;
    has[ERROR_STOPPING] = writes;
    has[ERROR_STORE_FULL] = writes && route->needs_store;
    for (int i = 0; i < API_ROUTE_ERRORS_MAX && route->errors[i]; i++)
        has[route->errors[i]] = true;
    size_t count = 0;
    for (int code = 1; code < ERROR_COUNT; code++) {
        if (!has[code] && !api_table_is_common((enum error_code)code))
            continue;
        size_t at = count++;
        for (; at > 0 && error_http_status((int)codes[at - 1]) > error_http_status(code); at--)
            codes[at] = codes[at - 1];
        codes[at] = (enum error_code)code;
    }
    return count;
}
