/* The shapes of replies (product.md section 3), as the documents describe them. api_view.c and the handlers write
 * them; tests/unit/api compares the two. */
#include "api/api_table.h"

#include "cron/cron.h"
#include "dag/dag.h"
#include "state/state.h"
#include "store/store.h"

/* A set of names from a state module's function. */
#define NAMES(function, name_of, type, count)                                                                   \
    const char *function(unsigned index)                                                                        \
    {                                                                                                           \
        return index < (unsigned)(count) ? name_of((type)index) : NULL;                                         \
    }

NAMES(api_names_task_types, dag_task_type_name, enum dag_task_type, DAG_TASK_TYPE_COUNT)
NAMES(api_names_run_states, state_run_name, enum run_state, RUN_STATE_COUNT)
NAMES(api_names_task_states, state_task_name, enum task_state, TASK_STATE_COUNT)
NAMES(api_names_attempt_states, state_attempt_name, enum attempt_state, ATTEMPT_STATE_COUNT)
NAMES(api_names_worker_states, state_worker_name, enum worker_state, WORKER_STATE_COUNT)
NAMES(api_names_triggers, state_trigger_name, enum trigger, TRIGGER_COUNT)
NAMES(api_names_resolutions, state_resolution_name, enum resolution, RESOLUTION_COUNT)
NAMES(api_names_fires, state_fire_name, enum fire_outcome, FIRE_OUTCOME_COUNT)
NAMES(api_names_fire_whys, cron_reason_name, enum cron_reason, CRON_REPEATED_HOUR + 1)
NAMES(api_names_rooms, store_room_name, enum store_room, STORE_ROOM_COUNT)

const char *api_names_fire_reasons(unsigned index)
{
    return index + 1 < FIRE_REASON_COUNT ? state_fire_reason_name((enum fire_reason)(index + 1)) : NULL;
}

const char *api_names_failures(unsigned index)
{
    return index + 1 < FAILURE_COUNT ? state_failure_name((enum error_type)(index + 1)) : NULL;
}

/* Those that an HTTP client can meet. */
const char *api_names_errors(unsigned index)
{
    for (int code = 1; code < ERROR_COUNT; code++) {
        bool inside = code == ERROR_USAGE || code == ERROR_INTERRUPTED || code == ERROR_UNREACHABLE
                      || code == ERROR_STORE_LOCKED || code == ERROR_STORE_NEWER || code == ERROR_TIMED_OUT
                      || code == ERROR_TOO_BIG || code == ERROR_ALREADY_FIRED;
        if (!inside && index-- == 0)
            return error_name(code);
    }
    return NULL;
}

static const char *pick(const char *const *names, size_t count, unsigned index)
{
    return index < count ? names[index] : NULL;
}

#define LITERAL_NAMES(function, ...)                                                                            \
    const char *function(unsigned index)                                                                        \
    {                                                                                                           \
        static const char *const names[] = {__VA_ARGS__};                                                       \
        return pick(names, sizeof names / sizeof *names, index);                                                \
    }

LITERAL_NAMES(api_names_rerun_from, "failed", "all", "task")
LITERAL_NAMES(api_names_rerun_version, "same", "latest")
LITERAL_NAMES(api_names_run_actions, "cancel", "rerun")
LITERAL_NAMES(api_names_bulk_from, "failed", "all")
LITERAL_NAMES(api_names_health, "ok", "degraded", "failed")
LITERAL_NAMES(api_names_origins, "default", "config", "environment", "flag")
LITERAL_NAMES(api_names_roles, "viewer", "operator", "admin")
LITERAL_NAMES(api_names_waits, "dependencies", "slot", "retry", "running", "ended")

static const struct api_field attempt[] = {
    {"attempt", API_INTEGER, .summary = "Its number, from 1"},
    {"state", API_STRING, .values = api_names_attempt_states, .summary = "Its state"},
    {"workerId", API_UUID, .nullable = true, .summary = "Its worker; null: none was chosen yet"},
    {"claimedAt", API_TIME, .summary = "When it was decided that it starts"},
    {"startedAt", API_TIME, .nullable = true, .summary = "When it started"},
    {"completedAt", API_TIME, .nullable = true, .summary = "When it ended"},
    {"error", API_STRING, .nullable = true, .summary = "Why it failed"},
    {"errorType", API_STRING, .nullable = true, .values = api_names_failures, .summary = "The same for programs"},
    {"exitCode", API_INTEGER, .nullable = true, .summary = "Its exit status"},
    {"signal", API_INTEGER, .nullable = true, .summary = "The signal that ended it"},
    {"httpStatus", API_INTEGER, .nullable = true, .summary = "The status an http task was answered with"},
    {"cpuSeconds", API_NUMBER, .nullable = true, .summary = "Its CPU time"},
    {"maxRssBytes", API_INTEGER, .nullable = true, .summary = "Its peak memory"},
    {"logBytes", API_INTEGER, .summary = "Size of its log, once it has ended"},
    {"nextAttemptAt", API_TIME, .nullable = true, .summary = "When the next one was due"},
};
static const struct api_field backfill[] = {
    {"dryRun", API_BOOLEAN, .summary = "Nothing was done"},
    {"instants", API_TIME, .is_list = true, .summary = "What is fired, oldest first"},
    {"accepted", API_INTEGER, .summary = "How many wait to be fired now"},
    {"firedBefore", API_INTEGER, .summary = "How many were left out since they were fired before"},
    {"more", API_BOOLEAN, .summary = "There are more instants than `max`"},
};
static const struct api_field fire[] = {
    {"id", API_UUID, .summary = "The record's id"},
    {"dagId", API_UUID, .summary = "The DAG"},
    {"triggeredBy", API_STRING, .values = api_names_triggers, .summary = "`schedule` or `backfill`"},
    {"from", API_TIME, .summary = "The first instant it covers"},
    {"to", API_TIME, .summary = "The last"},
    {"count", API_INTEGER, .summary = "How many there are from the first to the last"},
    {"outcome", API_STRING, .values = api_names_fires, .summary = "What became of them"},
    {"reason", API_STRING, .nullable = true, .values = api_names_fire_reasons, .summary = "Why they were skipped"},
    {"runId", API_UUID, .nullable = true,
     .summary = "The run that was made; of one that was skipped the run that was active"},
    {"parallel", API_INTEGER, .nullable = true,
     .summary = "Of a backfill for which it was said: so many of its runs at once"},
    {"createdAt", API_TIME, .summary = "When it was decided"},
};
static const struct api_field preview[] = {
    {"expr", API_STRING, .summary = "The cron expression"},
    {"timezone", API_STRING, .summary = "The time zone it is read in"},
    {"next", API_REF, .is_list = true, .ref = "PreviewFire", .summary = "The next instants"},
};
static const struct api_field preview_fire[] = {
    {"local", API_TIME, .summary = "In local time, with its offset"},
    {"utc", API_TIME, .summary = "The same in UTC"},
    {"why", API_STRING, .values = api_names_fire_whys, .summary = "What daylight saving has to do with it"},
};
static const struct api_field cluster[] = {
    {"leaderId", API_UUID, .summary = "The node that leads"},
    {"leaderSince", API_TIME, .summary = "Since when it leads"},
    {"nodes", API_REF, .is_list = true, .ref = "ClusterNode", .summary = "All nodes"},
    {"workers", API_INTEGER, .summary = "Workers of all nodes"},
    {"activeRuns", API_INTEGER, .summary = "Runs that have not ended"},
};
static const struct api_field cluster_node[] = {
    {"id", API_UUID, .summary = "The node's id"},
    {"host", API_STRING, .summary = "Its machine's name"},
    {"startedAt", API_TIME, .summary = "When its daemon started"},
    {"workers", API_INTEGER, .summary = "Its workers"},
    {"slots", API_INTEGER, .summary = "Slots of its workers together"},
    {"runningTasks", API_INTEGER, .summary = "Attempts that run there"},
};
static const struct api_field critical_path[] = {
    {"runId", API_UUID, .summary = "The run"},
    {"state", API_STRING, .values = api_names_run_states, .summary = "Its state"},
    {"seconds", API_NUMBER, .summary = "From the run's creation to the end of the path"},
    {"waitSeconds", API_NUMBER, .summary = "Of that: tasks of the path were ready and had not started"},
    {"runSeconds", API_NUMBER, .summary = "Of that: they ran"},
    {"more", API_BOOLEAN, .summary = "The path is longer: its last 10000 tasks are given"},
    {"tasks", API_REF, .is_list = true, .ref = "CriticalTask", .summary = "From the first to the last"},
};
static const struct api_field critical_task[] = {
    {"taskId", API_STRING, .summary = "The task's id in the DAG"},
    {"name", API_STRING, .summary = "Its name"},
    {"state", API_STRING, .values = api_names_task_states, .summary = "Its state"},
    {"readyAt", API_TIME, .nullable = true, .summary = "When all it needs had ended"},
    {"startedAt", API_TIME, .nullable = true, .summary = "When its latest attempt started"},
    {"completedAt", API_TIME, .nullable = true, .summary = "When that ended"},
    {"waitSeconds", API_NUMBER, .summary = "From ready to that start; earlier attempts lie in it"},
    {"runSeconds", API_NUMBER, .summary = "From that start to its end, or to now"},
};
static const struct api_field dag[] = {
    {"id", API_UUID, .summary = "The DAG's id"},
    {"name", API_STRING, .summary = "Its name; unique among the DAGs there are"},
    {"taskCount", API_INTEGER, .summary = "Tasks of the latest version"},
    {"schedule", API_STRING, .nullable = true, .summary = "Its cron expression"},
    {"version", API_INTEGER, .summary = "The latest version, from 1"},
    {"createdAt", API_TIME, .summary = "When the first version was made"},
    {"paused", API_BOOLEAN, .summary = "Its schedule is stopped"},
    {"timezone", API_STRING, .nullable = true, .summary = "The schedule's time zone; null: the daemon's"},
    {"updatedAt", API_TIME, .summary = "When the latest version was made"},
    {"stats", API_REF, .optional = true, .ref = "DagStats", .summary = "With `lastRuns` only"},
};
static const struct api_field dag_mark[] = {
    {"runId", API_UUID, .summary = "The run's id"},
    {"state", API_STRING, .values = api_names_run_states, .summary = "Its state"},
    {"triggeredBy", API_STRING, .values = api_names_triggers, .summary = "What made it"},
    {"createdAt", API_TIME, .summary = "When it was made"},
    {"startedAt", API_TIME, .nullable = true, .summary = "When its first attempt started"},
    {"completedAt", API_TIME, .nullable = true, .summary = "When it ended"},
};
static const struct api_field dag_stats[] = {
    {"lastRuns", API_REF, .is_list = true, .ref = "DagMark", .summary = "Newest first; the rest speaks of them"},
    {"activeRuns", API_INTEGER, .summary = "Of the newest 1000 active runs of all DAGs: those of this one"},
    {"succeeded", API_INTEGER, .summary = "How many succeeded"},
    {"failed", API_INTEGER, .summary = "How many failed"},
    {"canceled", API_INTEGER, .summary = "How many were canceled"},
    {"p50Seconds", API_NUMBER, .nullable = true, .summary = "Half of those that succeeded took no longer"},
    {"p95Seconds", API_NUMBER, .nullable = true, .summary = "19 of 20 of those that succeeded took no longer"},
    {"nextFireAt", API_TIME, .nullable = true, .summary = "When its schedule fires next; null: it does not"},
};
static const struct api_field me[] = {
    {"principal", API_STRING, .nullable = true, .summary = "The token's name"},
    {"role", API_STRING, .nullable = true, .values = api_names_roles, .summary = "What they may do"},
    {"tokenRequired", API_BOOLEAN, .summary = "Without a token nothing is allowed"},
    {"version", API_STRING, .summary = "pawl's version"},
    {"host", API_STRING, .summary = "The machine's name"},
    {"node", API_UUID, .summary = "The node that answers"},
};
static const struct api_field dag_problem[] = {
    {"line", API_INTEGER, .nullable = true, .summary = "From 1; null: the file as a whole"},
    {"column", API_INTEGER, .nullable = true, .summary = "In characters, from 1"},
    {"length", API_INTEGER, .summary = "How many characters it is about"},
    {"field", API_STRING, .nullable = true, .summary = "Such as `tasks[3].retry.maxAttempts`"},
    {"message", API_STRING, .summary = "What was found and what was expected"},
    {"hint", API_STRING, .nullable = true, .summary = "What may have been meant"},
};
static const struct api_field dag_version[] = {
    {"version", API_INTEGER, .summary = "From 1"},
    {"taskCount", API_INTEGER, .summary = "Its tasks"},
    {"createdAt", API_TIME, .summary = "When it was made"},
    {"sourceBytes", API_INTEGER, .summary = "Size of its YAML"},
};
static const struct api_field dead_letter[] = {
    {"id", API_UUID, .summary = "The dead letter's id"},
    {"taskInstanceId", API_UUID, .summary = "The task that failed, in its run"},
    {"runId", API_UUID, .summary = "The run it failed in"},
    {"dagId", API_UUID, .summary = "The DAG of that run"},
    {"dagName", API_STRING, .summary = "Its name"},
    {"taskId", API_STRING, .summary = "The task's id in the DAG"},
    {"taskName", API_STRING, .summary = "The task's name"},
    {"errorType", API_STRING, .values = api_names_failures, .summary = "Why it failed"},
    {"errorMessage", API_STRING, .nullable = true, .summary = "The same in words"},
    {"logTail", API_STRING, .nullable = true, .summary = "The end of the last attempt's log"},
    {"totalAttempts", API_INTEGER, .summary = "How many attempts there were"},
    {"cpuSeconds", API_NUMBER, .nullable = true, .summary = "CPU time of the last attempt"},
    {"maxRssBytes", API_INTEGER, .nullable = true, .summary = "Its peak memory"},
    {"taskConfig", API_JSON, .summary = "The task as its DAG defined it"},
    {"resolutionStatus", API_STRING, .values = api_names_resolutions, .summary = "What was done about it"},
    {"resolvedAt", API_TIME, .nullable = true, .summary = "When"},
    {"resolvedBy", API_STRING, .nullable = true, .summary = "By whom"},
    {"resolutionNotes", API_STRING, .nullable = true, .summary = "Notes or reason"},
    {"resolutionRunId", API_UUID, .nullable = true, .summary = "The run that was made for it"},
    {"createdAt", API_TIME, .summary = "When the task failed"},
};
static const struct api_field dead_letter_bulk_result[] = {
    {"matched", API_INTEGER, .summary = "Letters that fit the filter, at most `max`"},
    {"done", API_INTEGER, .summary = "Of those: done"},
    {"skipped", API_INTEGER, .summary = "Of those: not done"},
    {"more", API_BOOLEAN, .summary = "There are, or may be, more that fit"},
};
static const struct api_field dead_letter_group[] = {
    {"error", API_STRING, .summary = "The error, with `N` for numbers, `ID` for ids and `PATH` for paths"},
    {"errorType", API_STRING, .values = api_names_failures, .summary = "The same for programs"},
    {"count", API_INTEGER, .summary = "How many letters have it"},
    {"oldestAt", API_TIME, .summary = "When the oldest of them was made"},
    {"newestAt", API_TIME, .summary = "When the newest of them was made"},
    {"newestId", API_UUID, .summary = "The newest of them"},
};
static const struct api_field dead_letter_stats[] = {
    {"pending", API_INTEGER, .summary = "Nothing was done yet"},
    {"retried", API_INTEGER, .summary = "Retried"},
    {"skipped", API_INTEGER, .summary = "Skipped"},
    {"resolved", API_INTEGER, .summary = "Resolved"},
    {"total", API_INTEGER, .summary = "All of them"},
    {"oldestPendingAt", API_TIME, .nullable = true, .summary = "When the oldest pending one was made"},
    {"oldestPendingAgeSeconds", API_NUMBER, .nullable = true, .summary = "How long ago that is"},
};
static const struct api_field error[] = {
    {"code", API_STRING, .values = api_names_errors, .summary = "For programs"},
    {"message", API_STRING, .summary = "For people: what to change"},
    {"details", API_STRING, .nullable = true, .summary = "What more there is to say, such as a run's id"},
    {"errors", API_REF, .is_list = true, .optional = true, .ref = "DagProblem",
     .summary = "What is wrong in a DAG file"},
};
static const struct api_field graph[] = {
    {"dagId", API_UUID, .nullable = true, .summary = "The DAG"},
    {"dagName", API_STRING, .summary = "Its name"},
    {"version", API_INTEGER, .nullable = true, .summary = "The version that is drawn"},
    {"runId", API_UUID, .nullable = true, .summary = "The run whose states the nodes have"},
    {"taskCount", API_INTEGER, .summary = "How many tasks there are"},
    {"edgeCount", API_INTEGER, .summary = "How many dependencies"},
    {"collapsed", API_BOOLEAN, .summary = "It is too large to be drawn: there are `groups` instead of `nodes`"},
    {"layers", API_INTEGER, .summary = "The longest path, in tasks"},
    {"width", API_INTEGER, .summary = "Of the drawing, in pixels"},
    {"height", API_INTEGER, .summary = "Of the drawing, in pixels"},
    {"nodeWidth", API_INTEGER, .summary = "Of each node and group"},
    {"nodeHeight", API_INTEGER, .summary = "Of each node and group"},
    {"nodes", API_REF, .nullable = true, .is_list = true, .ref = "GraphNode",
     .summary = "In the order of the DAG file"},
    {"edges", API_INTEGERS, .nullable = true, .is_list = true,
     .summary = "Each: the indexes of the dependency and of the task that needs it, then x and "
                "y of each point between the right side of the one and the left side of the other"},
    {"groups", API_REF, .nullable = true, .is_list = true, .ref = "GraphGroup", .summary = "From left to right"},
    {"groupEdges", API_INTEGERS, .nullable = true, .is_list = true,
     .summary = "Each: the indexes of two groups and how many dependencies join them"},
};
static const struct api_field graph_group[] = {
    {"layer", API_INTEGER, .summary = "The first layer it stands for"},
    {"lastLayer", API_INTEGER, .summary = "The last one"},
    {"taskCount", API_INTEGER, .summary = "How many tasks are in these layers"},
    {"firstTaskId", API_STRING, .summary = "The first of them in the DAG file"},
    {"x", API_INTEGER, .summary = "Its left side"},
    {"y", API_INTEGER, .summary = "Its upper side"},
};
static const struct api_field graph_node[] = {
    {"taskId", API_STRING, .summary = "The task's id in the DAG"},
    {"name", API_STRING, .summary = "Its name"},
    {"type", API_STRING, .values = api_names_task_types, .summary = "What it runs"},
    {"layer", API_INTEGER, .summary = "From 0, left"},
    {"x", API_INTEGER, .summary = "Its left side"},
    {"y", API_INTEGER, .summary = "Its upper side"},
    {"state", API_STRING, .optional = true, .values = api_names_task_states, .summary = "Its state; of a run only"},
};
static const struct api_field health[] = {
    {"status", API_STRING, .values = api_names_health, .summary = "The worst of its parts"},
    {"version", API_STRING, .summary = "pawl's version"},
    {"nodeId", API_UUID, .summary = "This node"},
    {"host", API_STRING, .summary = "Its machine's name"},
    {"startedAt", API_TIME, .summary = "When the daemon started"},
    {"uptimeSeconds", API_NUMBER, .summary = "How long ago that is"},
    {"components", API_REF, .ref = "HealthComponents", .summary = "Each part"},
};
static const struct api_field health_components[] = {
    {"engine", API_REF, .ref = "HealthEngine", .summary = "The thread that drives all runs"},
    {"store", API_REF, .ref = "HealthStore", .summary = "Where state is kept"},
    {"workers", API_REF, .ref = "HealthWorkers", .summary = "The processes that run tasks"},
    {"isolation", API_REF, .ref = "HealthIsolation", .summary = "How tasks are kept together"},
};
static const struct api_field health_engine[] = {
    {"status", API_STRING, .values = api_names_health, .summary = "How it is"},
    {"message", API_STRING, .nullable = true, .summary = "What is wrong"},
    {"ready", API_BOOLEAN, .summary = "Recovery is complete"},
    {"draining", API_BOOLEAN, .summary = "The daemon stops: nothing new starts"},
    {"activeRuns", API_INTEGER, .summary = "Runs that have not ended"},
    {"waitingTasks", API_INTEGER, .summary = "Tasks that have not ended"},
    {"readyTasks", API_INTEGER, .summary = "Of those, tasks that wait for a slot"},
    {"turnAgeMs", API_INTEGER, .summary = "How long work waits for the engine; 0: it is up to date"},
    {"turnMaxUs", API_INTEGER, .summary = "Its longest turn lately"},
};
static const struct api_field health_isolation[] = {
    {"status", API_STRING, .values = api_names_health, .summary = "How it is"},
    {"message", API_STRING, .nullable = true, .summary = "What it lacks"},
    {"kind", API_STRING, .summary = "`cgroup`: certain; `best-effort`: by session, parentage and environment"},
};
static const struct api_field health_store[] = {
    {"status", API_STRING, .values = api_names_health, .summary = "How it is"},
    {"message", API_STRING, .nullable = true, .summary = "What is wrong"},
    {"kind", API_STRING, .nullable = true, .summary = "Such as `sqlite`"},
    {"latencyUs", API_INTEGER, .nullable = true, .summary = "How long the cheapest read took"},
    {"room", API_STRING, .nullable = true, .values = api_names_rooms, .summary = "Room on the disk"},
    {"bytes", API_INTEGER, .nullable = true, .summary = "Size of its files"},
    {"freeBytes", API_INTEGER, .nullable = true, .summary = "Free on the file system"},
    {"durability", API_STRING, .nullable = true,
     .summary = "`full`, or `relaxed`: a power loss may take the last commits"},
};
static const struct api_field health_workers[] = {
    {"status", API_STRING, .values = api_names_health, .summary = "How they are"},
    {"message", API_STRING, .nullable = true, .summary = "What is wrong"},
    {"wanted", API_INTEGER, .summary = "How many there should be"},
    {"present", API_INTEGER, .summary = "How many there are"},
    {"draining", API_INTEGER, .summary = "Of those, how many take nothing new"},
    {"slots", API_INTEGER, .summary = "Their slots"},
    {"runningTasks", API_INTEGER, .summary = "Attempts that run"},
};
static const struct api_field history[] = {
    {"dagId", API_UUID, .summary = "The DAG"},
    {"taskCount", API_INTEGER, .summary = "Tasks of the newest of these runs"},
    {"runs", API_REF, .is_list = true, .ref = "Run", .summary = "The columns, newest first"},
    {"tasks", API_REF, .is_list = true, .ref = "HistoryTask", .summary = "The rows, in the order of the DAG file"},
};
static const struct api_field history_task[] = {
    {"taskId", API_STRING, .summary = "The task's id in the DAG"},
    {"name", API_STRING, .summary = "Its name"},
    {"states", API_STRING, .is_list = true, .items_nullable = true, .values = api_names_task_states,
     .summary = "By run; null: the run has no such task"},
    {"attempts", API_INTEGER, .is_list = true, .summary = "By run: number of the latest attempt, 0 before the first"},
    {"seconds", API_NUMBER, .is_list = true, .items_nullable = true, .summary = "By run: how long that attempt took"},
};
static const struct api_field upcoming[] = {
    {"dagCount", API_INTEGER, .summary = "How many DAGs have a schedule and are not paused"},
    {"truncated", API_BOOLEAN, .summary = "There are more DAGs than were looked at"},
    {"fires", API_REF, .is_list = true, .ref = "UpcomingFire", .summary = "Soonest first"},
};
static const struct api_field upcoming_fire[] = {
    {"dagId", API_UUID, .summary = "The DAG"},
    {"dagName", API_STRING, .summary = "Its name"},
    {"at", API_TIME, .summary = "When it fires"},
    {"local", API_TIME, .summary = "The same in its time zone, with the offset"},
    {"timezone", API_STRING, .summary = "That time zone"},
    {"why", API_STRING, .values = api_names_fire_whys, .summary = "What daylight saving has to do with it"},
};
static const struct api_field probe[] = {
    {"status", API_STRING, .summary = "`ok`, or what is missing"},
};
static const struct api_field run[] = {
    {"runId", API_UUID, .summary = "The run's id"},
    {"dagId", API_UUID, .summary = "Its DAG"},
    {"state", API_STRING, .values = api_names_run_states, .summary = "Its state"},
    {"triggeredBy", API_STRING, .values = api_names_triggers, .summary = "What made it"},
    {"createdAt", API_TIME, .summary = "When it was made"},
    {"startedAt", API_TIME, .nullable = true, .summary = "When its first attempt started"},
    {"completedAt", API_TIME, .nullable = true, .summary = "When it ended"},
    {"version", API_INTEGER, .summary = "The DAG version it runs"},
    {"scheduledFor", API_TIME, .nullable = true, .summary = "The instant of the schedule it stands for"},
    {"changes", API_JSON, .nullable = true, .summary = "What it has other than its version: fields by task id"},
    {"dagName", API_STRING, .summary = "The DAG's name"},
    {"source", API_UUID, .nullable = true, .summary = "The run it is a rerun of"},
    {"error", API_STRING, .nullable = true, .summary = "Why it failed"},
    {"cancelRequestedAt", API_TIME, .nullable = true, .summary = "When it was first asked to cancel"},
    {"taskCount", API_INTEGER, .summary = "How many tasks it has"},
    {"counts", API_REF, .nullable = true, .ref = "TaskCounts",
     .summary = "Tasks by state; null of a run that is active elsewhere"},
};
static const struct api_field run_bulk_result[] = {
    {"matched", API_INTEGER, .summary = "Runs that fit the filter, at most `max`"},
    {"done", API_INTEGER, .summary = "Of those: done"},
    {"skipped", API_INTEGER, .summary = "Of those: not done"},
    {"more", API_BOOLEAN, .summary = "There are, or may be, more that fit"},
};
static const struct api_field run_status[] = {
    {"runId", API_UUID, .summary = "The run's id"},
    {"dagId", API_UUID, .summary = "Its DAG"},
    {"state", API_STRING, .values = api_names_run_states, .summary = "Its state"},
    {"triggeredBy", API_STRING, .values = api_names_triggers, .summary = "What made it"},
    {"createdAt", API_TIME, .summary = "When it was made"},
    {"startedAt", API_TIME, .nullable = true, .summary = "When its first attempt started"},
    {"completedAt", API_TIME, .nullable = true, .summary = "When it ended"},
    {"version", API_INTEGER, .summary = "The DAG version it runs"},
    {"scheduledFor", API_TIME, .nullable = true, .summary = "The instant of the schedule it stands for"},
    {"changes", API_JSON, .nullable = true, .summary = "What it has other than its version: fields by task id"},
    {"dagName", API_STRING, .summary = "The DAG's name"},
    {"source", API_UUID, .nullable = true, .summary = "The run it is a rerun of"},
    {"error", API_STRING, .nullable = true, .summary = "Why it failed"},
    {"cancelRequestedAt", API_TIME, .nullable = true, .summary = "When it was first asked to cancel"},
    {"taskCount", API_INTEGER, .summary = "How many tasks it has"},
    {"counts", API_REF, .ref = "TaskCounts", .summary = "Tasks by state, all of them"},
    {"tasks", API_REF, .is_list = true, .ref = "TaskStatus", .summary = "In the order of the DAG file"},
};
static const struct api_field task_counts[] = {
    {"pending", API_INTEGER, .summary = "Wait for dependencies or a retry"},
    {"queued", API_INTEGER, .summary = "Wait for a slot"},
    {"running", API_INTEGER, .summary = "Run"},
    {"succeeded", API_INTEGER, .summary = "Succeeded"},
    {"failed", API_INTEGER, .summary = "Failed"},
    {"skipped", API_INTEGER, .summary = "Skipped, because of a failure or on purpose"},
    {"canceled", API_INTEGER, .summary = "Canceled"},
};
static const struct api_field task_status[] = {
    {"taskId", API_STRING, .summary = "The task's id in the DAG"},
    {"name", API_STRING, .summary = "Its name"},
    {"state", API_STRING, .values = api_names_task_states, .summary = "Its state"},
    {"attempt", API_INTEGER, .summary = "Number of the latest attempt; 0 before the first"},
    {"workerId", API_UUID, .nullable = true, .summary = "The latest attempt's worker"},
    {"startedAt", API_TIME, .nullable = true, .summary = "When the latest attempt started"},
    {"completedAt", API_TIME, .nullable = true, .summary = "When the task, or its latest attempt, ended"},
    {"taskInstanceId", API_UUID, .summary = "The task in this run"},
    {"error", API_STRING, .nullable = true, .summary = "Why the latest attempt failed"},
    {"errorType", API_STRING, .nullable = true, .values = api_names_failures, .summary = "The same for programs"},
    {"exitCode", API_INTEGER, .nullable = true, .summary = "Exit status of the latest attempt"},
    {"signal", API_INTEGER, .nullable = true, .summary = "The signal that ended it"},
    {"cpuSeconds", API_NUMBER, .nullable = true, .summary = "CPU time of the latest attempt"},
    {"maxRssBytes", API_INTEGER, .nullable = true, .summary = "Its peak memory"},
    {"nextAttemptAt", API_TIME, .nullable = true, .summary = "When it is tried again"},
    {"keptFrom", API_UUID, .nullable = true, .summary = "The run whose success was kept"},
    {"readyAt", API_TIME, .nullable = true, .summary = "When all it needs had ended; from then on it waits for a slot"},
    {"logBytes", API_INTEGER, .summary = "Size of its log, once the latest attempt has ended"},
};
static const struct api_field setting[] = {
    {"name", API_STRING, .summary = "As in the config file; the flag is `--name`, the variable `PAWL_NAME`"},
    {"values", API_STRING, .is_list = true, .summary = "Its value, of a list all; empty: it is not set"},
    {"origin", API_STRING, .values = api_names_origins, .summary = "Who said so"},
    {"place", API_STRING, .summary = "The same in words: the flag, the variable, or the file and its line"},
    {"reloads", API_BOOLEAN, .summary = "Read again at SIGHUP; the others take a restart"},
    {"summary", API_STRING, .summary = "What it is"},
};
static const struct api_field validation[] = {
    {"valid", API_BOOLEAN, .summary = "There are no errors"},
    {"errors", API_REF, .is_list = true, .ref = "DagProblem", .summary = "What is wrong"},
    {"warnings", API_REF, .is_list = true, .ref = "DagProblem", .summary = "What may be wrong"},
};
static const struct api_field why[] = {
    {"runId", API_UUID, .summary = "The run"},
    {"taskId", API_STRING, .summary = "The task's id in the DAG"},
    {"state", API_STRING, .values = api_names_task_states, .summary = "The task's state"},
    {"waitsFor", API_STRING, .values = api_names_waits, .summary = "What kind of thing it waits for"},
    {"message", API_STRING, .summary = "The same in words"},
    {"since", API_TIME, .nullable = true, .summary = "Since when"},
    {"until", API_TIME, .nullable = true, .summary = "Until when, if that is known"},
    {"dependencies", API_REF, .is_list = true, .ref = "WhyTask",
     .summary = "Dependencies that have not succeeded, or the failure behind a skip; at most 100"},
    {"dependencyCount", API_INTEGER, .summary = "How many of these there are"},
    {"readyTasks", API_INTEGER, .nullable = true, .summary = "How many tasks of all runs wait for a slot"},
    {"workerId", API_UUID, .nullable = true, .summary = "The worker it runs on"},
};
static const struct api_field why_task[] = {
    {"taskId", API_STRING, .summary = "The task's id in the DAG"},
    {"state", API_STRING, .values = api_names_task_states, .summary = "Its state"},
};
static const struct api_field worker[] = {
    {"id", API_UUID, .summary = "The worker's id"},
    {"status", API_STRING, .values = api_names_worker_states, .summary = "Its state"},
    {"runningTasks", API_INTEGER, .summary = "Attempts it runs"},
    {"queueDepth", API_INTEGER, .summary = "Tasks queued for it"},
    {"host", API_STRING, .summary = "Its machine's name"},
    {"node", API_UUID, .summary = "Its node"},
    {"slots", API_INTEGER, .summary = "Attempts it can run at once"},
};

static const struct api_field running_task[] = {
    {"runId", API_UUID, .summary = "The run"},
    {"dagId", API_UUID, .summary = "Its DAG"},
    {"dagName", API_STRING, .summary = "The DAG's name"},
    {"taskId", API_STRING, .summary = "The task's id in the DAG"},
    {"name", API_STRING, .summary = "Its name"},
    {"attempt", API_INTEGER, .summary = "The number of the attempt that runs"},
    {"workerId", API_UUID, .nullable = true, .summary = "The worker it runs on"},
    {"startedAt", API_TIME, .nullable = true, .summary = "When it started; null: it is being started"},
};

#define SCHEMA(name, fields, summary) {name, summary, fields, sizeof fields / sizeof *fields}

const struct api_schema api_table_schemas[] = {
    SCHEMA("Attempt", attempt, "One try of a task"),
    SCHEMA("Backfill", backfill, "Instants of the past that are made up for"),
    SCHEMA("Cluster", cluster, "All nodes that work together"),
    SCHEMA("ClusterNode", cluster_node, "One `pawl serve` process"),
    SCHEMA("CriticalPath", critical_path, "The tasks that a run's duration came from"),
    SCHEMA("CriticalTask", critical_task, "A task of a critical path"),
    SCHEMA("Dag", dag, "A named, versioned definition"),
    SCHEMA("DagMark", dag_mark, "A run in short"),
    SCHEMA("DagProblem", dag_problem, "Something wrong in a DAG file, with its place"),
    SCHEMA("DagStats", dag_stats, "What a DAG's last runs say"),
    SCHEMA("DagVersion", dag_version, "One version of a DAG"),
    SCHEMA("DeadLetter", dead_letter, "A failed task kept for a person"),
    SCHEMA("DeadLetterBulkResult", dead_letter_bulk_result, "What came of a bulk action"),
    SCHEMA("DeadLetterGroup", dead_letter_group, "Dead letters with the same error"),
    SCHEMA("DeadLetterStats", dead_letter_stats, "Dead letters by status"),
    SCHEMA("Error", error, "Why a request was refused"),
    SCHEMA("Fire", fire, "What became of an instant of a schedule, or of a stretch of them"),
    SCHEMA("Graph", graph, "Tasks as they are drawn"),
    SCHEMA("GraphGroup", graph_group, "Layers that are drawn as one"),
    SCHEMA("GraphNode", graph_node, "A task in a drawing"),
    SCHEMA("Health", health, "How everything is"),
    SCHEMA("HealthComponents", health_components, "Each part of the daemon"),
    SCHEMA("HealthEngine", health_engine, "The thread that drives all runs"),
    SCHEMA("HealthIsolation", health_isolation, "How tasks are kept together"),
    SCHEMA("HealthStore", health_store, "Where state is kept"),
    SCHEMA("HealthWorkers", health_workers, "The processes that run tasks"),
    SCHEMA("Me", me, "Who asks and what they may do"),
    SCHEMA("History", history, "Tasks by runs"),
    SCHEMA("HistoryTask", history_task, "A task in each of the runs"),
    SCHEMA("Preview", preview, "When a schedule fires next"),
    SCHEMA("PreviewFire", preview_fire, "One instant"),
    SCHEMA("Probe", probe, "The answer of a probe"),
    SCHEMA("Run", run, "One execution of one DAG version"),
    SCHEMA("RunBulkResult", run_bulk_result, "What came of a bulk action"),
    SCHEMA("RunStatus", run_status, "A run and its tasks"),
    SCHEMA("RunningTask", running_task, "An attempt that runs"),
    SCHEMA("Setting", setting, "A setting in use"),
    SCHEMA("TaskCounts", task_counts, "How many tasks are in each state"),
    SCHEMA("TaskStatus", task_status, "A task of a run"),
    SCHEMA("Upcoming", upcoming, "What schedules will do"),
    SCHEMA("UpcomingFire", upcoming_fire, "One instant of one schedule"),
    SCHEMA("Validation", validation, "What was found in a DAG file"),
    SCHEMA("Why", why, "What a task waits for"),
    SCHEMA("WhyTask", why_task, "A task that another one waits for"),
    SCHEMA("Worker", worker, "A process with slots that runs attempts"),
};
const size_t api_table_schema_count = sizeof api_table_schemas / sizeof *api_table_schemas;
