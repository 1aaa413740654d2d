/* Every handler of the route table, by file. */
#ifndef PAWL_API_API_HANDLERS_H
#define PAWL_API_API_HANDLERS_H

#include <stdint.h>

#include "base/uuid.h"

struct api;
struct api_call;
struct api_events;
struct api_worker;
struct batch;

/* api_dag.c */
void api_create_dag(struct api_call *call);
void api_list_dags(struct api_call *call);
void api_get_dag(struct api_call *call);
void api_update_dag(struct api_call *call);
void api_delete_dag(struct api_call *call);
void api_pause_dag(struct api_call *call);
void api_resume_dag(struct api_call *call);
void api_get_dag_source(struct api_call *call);
void api_list_dag_versions(struct api_call *call);
void api_validate_dag(struct api_call *call);

/* api_attempts.c, api_path.c */
void api_list_task_attempts(struct api_call *call);
void api_list_running_tasks(struct api_call *call);
void api_get_critical_path(struct api_call *call);

/* api_history.c, api_upcoming.c */
void api_get_dag_history(struct api_call *call);
void api_list_upcoming(struct api_call *call);

/* api_graph.c */
void api_get_dag_graph(struct api_call *call);
void api_get_run_graph(struct api_call *call);
void api_draw_dag(struct api_call *call);

/* api_trigger.c: what makes and ends runs */
void api_trigger_dag(struct api_call *call);
void api_cancel_run(struct api_call *call);
void api_rerun_run(struct api_call *call);
void api_retry_letter(struct api_call *call);
void api_skip_letter(struct api_call *call);
void api_resolve_letter(struct api_call *call);

/* api_runs.c, api_status.c, api_why.c */
void api_list_runs(struct api_call *call);
void api_list_dag_runs(struct api_call *call);
void api_get_run(struct api_call *call);
void api_get_task_why(struct api_call *call);

/* api_session.c */
void api_get_me(struct api_call *call);
void api_create_session(struct api_call *call);
void api_delete_session(struct api_call *call);

/* api_log.c */
void api_get_task_log(struct api_call *call);
void api_get_instance_log(struct api_call *call);

/* api_events.c */
void api_get_run_events(struct api_call *call);
void api_get_events(struct api_call *call);
struct api_events *api_events_new(struct api *api);
/* Before http_stop, which closes the streams: nothing is added any more. */
void api_events_stop(struct api_events *events);
void api_events_free(struct api_events *events); /* after http_stop; NULL is allowed */
/* The engine's thread: see api_publish. Also wakes followed logs. */
void api_events_publish(struct api *api, const struct batch *batch, int64_t now_ms);
void api_events_publish_worker(struct api *api, const struct api_worker *worker);
void api_events_publish_left(struct api *api, struct uuid run_id);

/* api_worker.c */
void api_list_workers(struct api_call *call);
void api_drain_worker(struct api_call *call);
void api_resume_worker(struct api_call *call);
void api_get_cluster(struct api_call *call);

/* api_schedule.c */
void api_list_dag_fires(struct api_call *call);
void api_backfill_dag(struct api_call *call);
void api_preview_schedule(struct api_call *call);

/* api_letter.c */
void api_list_letters(struct api_call *call);
void api_get_letter(struct api_call *call);
void api_get_letter_stats(struct api_call *call);

/* api_bulk_runs.c */
void api_bulk_runs(struct api_call *call);

/* api_bulk.c */
void api_get_letter_groups(struct api_call *call);
void api_bulk_letters(struct api_call *call);

/* api_config.c */
void api_get_config(struct api_call *call);

/* api_health.c, api_metrics.c */
void api_get_health(struct api_call *call);
void api_get_ready(struct api_call *call);
void api_get_live(struct api_call *call);
void api_get_metrics(struct api_call *call);

/* api_docs.c */
void api_get_openapi(struct api_call *call);
void api_get_docs(struct api_call *call);
void api_get_dag_schema(struct api_call *call);
void api_get_docs_style(struct api_call *call);
void api_get_ui_page(struct api_call *call);
void api_get_ui_file(struct api_call *call);

#endif
