/* The functions behind the table of commands (table.c), each in the file of its command or family. */
#ifndef PAWL_CLI_COMMANDS_H
#define PAWL_CLI_COMMANDS_H

#include "cli/command.h"

int cli_serve(struct cli *cli, struct error *err);
int cli_run(struct cli *cli, struct error *err);
int cli_stop(struct cli *cli, struct error *err);
int cli_validate(struct cli *cli, struct error *err);
int cli_dags_list(struct cli *cli, struct error *err);
int cli_dags_show(struct cli *cli, struct error *err);
int cli_dags_apply(struct cli *cli, struct error *err);
int cli_dags_delete(struct cli *cli, struct error *err);
int cli_dags_pause(struct cli *cli, struct error *err);
int cli_dags_resume(struct cli *cli, struct error *err);
int cli_trigger(struct cli *cli, struct error *err);
int cli_cron_preview(struct cli *cli, struct error *err);
int cli_backfill(struct cli *cli, struct error *err);
int cli_runs_list(struct cli *cli, struct error *err);
int cli_runs_show(struct cli *cli, struct error *err);
int cli_runs_watch(struct cli *cli, struct error *err);
int cli_runs_cancel(struct cli *cli, struct error *err);
int cli_runs_rerun(struct cli *cli, struct error *err);
int cli_logs(struct cli *cli, struct error *err);
int cli_why(struct cli *cli, struct error *err);
int cli_workers_list(struct cli *cli, struct error *err);
int cli_workers_drain(struct cli *cli, struct error *err);
int cli_workers_resume(struct cli *cli, struct error *err);
int cli_cluster(struct cli *cli, struct error *err);
int cli_dlq_list(struct cli *cli, struct error *err);
int cli_dlq_show(struct cli *cli, struct error *err);
int cli_dlq_stats(struct cli *cli, struct error *err);
int cli_dlq_groups(struct cli *cli, struct error *err);
int cli_dlq_retry(struct cli *cli, struct error *err);
int cli_dlq_skip(struct cli *cli, struct error *err);
int cli_dlq_resolve(struct cli *cli, struct error *err);
int cli_health(struct cli *cli, struct error *err);
int cli_token_create(struct cli *cli, struct error *err);
int cli_token_list(struct cli *cli, struct error *err);
int cli_token_revoke(struct cli *cli, struct error *err);
int cli_doctor(struct cli *cli, struct error *err);
int cli_backup(struct cli *cli, struct error *err);
int cli_restore(struct cli *cli, struct error *err);
int cli_migrate(struct cli *cli, struct error *err);
int cli_fsck(struct cli *cli, struct error *err);
int cli_openapi(struct cli *cli, struct error *err);
int cli_schema(struct cli *cli, struct error *err);
int cli_completion(struct cli *cli, struct error *err);
int cli_version(struct cli *cli, struct error *err);
int cli_help_command(struct cli *cli, struct error *err);
/* `pawl candidates KIND`, for completion scripts: names of DAGs, ids of the latest runs, workers or dead letters, one a
 * line. */
int cli_candidates(struct cli *cli, const char *kind, struct error *err);

#endif
