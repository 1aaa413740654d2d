/* pawl cron preview, pawl backfill: schedules, looked at and made up for. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/remote.h"
#include "cli/report.h"
#include "cli/show.h"
#include "cron/cron.h"

enum { PREVIEW_USUAL = 5 };

/* An expression has several fields or is a macro; everything else names a DAG. */
static bool is_expression(const char *text)
{
    return text[0] == '@' || strpbrk(text, " \t");
}

/* The schedule of a DAG that the daemon, or its directory, knows; its zone unless --tz says another. */
static int ask_schedule(struct cli *cli, const char **ret_expr, const char **ret_zone, struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    struct cli_remote remote;
    json_t *answer = NULL;
    int rc = cli_remote_open(cli, CLI_NEED_CATALOG, &remote, err);
    if (rc)
        return rc;
    rc = cli_resolve_dag(&remote, cli_operand(cli, 0), id, err);
    if (rc == 0)
        rc = cli_remote_get_json(&remote, arena_printf(&cli->arena, "/api/v1/schedule/preview?n=1&dagId=%s", id),
                                 &answer, err);
    if (rc == 0) {
        *ret_expr = arena_strdup(&cli->arena, cli_json_text(answer, "expr"));
        if (!*ret_zone)
            *ret_zone = arena_strdup(&cli->arena, cli_json_text(answer, "timezone"));
    }
    json_decref(answer);
    cli_remote_close(&remote);
    return rc;
}

static void show_next(struct cli *cli, const struct cron *cron, const struct cron_zone *zone, int64_t from_ms,
                      int64_t count)
{
    static const char *const titles[] = {"LOCAL", "UTC", "WHY", NULL};
    struct cli_grid grid;
    struct json json;
    struct cron_fire fire = {.time_ms = from_ms};
    bool as_json = cli_wants_json(cli);
    cli_grid_init(&grid, titles);
    json_init(&json, &cli->out);
    if (as_json) {
        json_begin_object(&json);
        json_key(&json, "next");
        json_begin_array(&json);
    }
    while (count-- > 0 && cron_next(cron, zone, fire.time_ms, &fire)) {
        char local[CRON_LOCAL_TEXT_MAX], utc[CRON_LOCAL_TEXT_MAX];
        cron_format_local(fire.time_ms, fire.offset_s, local);
        cron_format_local(fire.time_ms, 0, utc);
        if (as_json) {
            json_add_string(&json, local);
            continue;
        }
        cli_grid_add(&grid, local);
        cli_grid_add(&grid, utc);
        cli_grid_add(&grid, cron_reason_name(fire.reason));
    }
    if (as_json) {
        json_end_array(&json);
        json_end_object(&json);
        buf_add_char(&cli->out, '\n');
    } else {
        cli_show_grid(cli, &grid);
    }
    cli_grid_fini(&grid);
}

static int time_of(const struct cli *cli, enum cli_option_id option, int64_t *ret_ms, struct error *err)
{
    const char *text = cli_text(cli, option);
    if (clock_parse_rfc3339(text, ret_ms))
        return 0;
    return error_set(err, ERROR_USAGE, "--%s must be a time such as 2026-03-29T02:30:00Z, not '%s'",
                     cli_options[option].name, text);
}

int cli_cron_preview(struct cli *cli, struct error *err)
{
    const char *expr = cli_operand(cli, 0), *zone_name = cli_text(cli, CLI_TZ);
    int64_t from_ms = clock_wall_ms();
    int64_t count = cli_given(cli, CLI_COUNT) ? cli_number(cli, CLI_COUNT) : PREVIEW_USUAL;
    struct cron cron;
    struct cron_zone *zone = NULL;
    int rc = cli_given(cli, CLI_SINCE) ? time_of(cli, CLI_SINCE, &from_ms, err) : 0;
    if (rc == 0 && !is_expression(expr))
        rc = ask_schedule(cli, &expr, &zone_name, err);
    if (rc == 0)
        rc = cron_parse(expr, &cron, err);
    if (rc == 0)
        rc = cron_zone_load(zone_name, &zone, err);
    if (rc == 0)
        show_next(cli, &cron, zone, from_ms, count);
    cron_zone_free(zone);
    return rc;
}

/* ---- backfill ---- */

static void add_request(struct buf *out, const struct cli *cli, int64_t from_ms, int64_t to_ms)
{
    struct json json;
    json_init(&json, out);
    json_begin_object(&json);
    json_kv_time(&json, "from", from_ms);
    json_kv_time(&json, "to", to_ms);
    if (cli_given(cli, CLI_MAX_INSTANTS))
        json_kv_int(&json, "max", cli_number(cli, CLI_MAX_INSTANTS));
    if (cli_given(cli, CLI_PARALLEL))
        json_kv_int(&json, "parallel", cli_number(cli, CLI_PARALLEL));
    json_kv_bool(&json, "dryRun", cli_flag(cli, CLI_DRY_RUN));
    json_kv_bool(&json, "again", cli_flag(cli, CLI_AGAIN));
    json_end_object(&json);
}

static int show_plan(struct cli *cli, const struct buf *answer, struct error *err)
{
    json_t *plan = NULL, *instant;
    size_t index;
    int rc = cli_remote_parse(answer, &plan, err);
    if (rc)
        return rc;
    json_array_foreach(json_object_get(plan, "instants"), index, instant)
        buf_printf(&cli->out, "%s\n", json_string_value(instant));
    if (cli_flag(cli, CLI_DRY_RUN))
        cli_say(cli, "nothing was done; %lld more were fired before", (long long)cli_json_int(plan, "firedBefore"));
    else
        cli_say(cli, "%lld are fired, oldest first; %lld were fired before",
                (long long)cli_json_int(plan, "accepted"), (long long)cli_json_int(plan, "firedBefore"));
    if (json_is_true(json_object_get(plan, "more")))
        cli_say(cli, "there are more of them: begin the next backfill behind the last one");
    json_decref(plan);
    return 0;
}

int cli_backfill(struct cli *cli, struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    int64_t from_ms = 0, to_ms = clock_wall_ms();
    struct cli_remote remote = {0};
    struct buf body = BUF_INIT, answer = BUF_INIT;
    if (!cli_given(cli, CLI_SINCE))
        return error_set(err, ERROR_USAGE, "--from is needed: the time from which on instants are fired");
    int rc = time_of(cli, CLI_SINCE, &from_ms, err);
    if (rc == 0 && cli_given(cli, CLI_TO))
        rc = time_of(cli, CLI_TO, &to_ms, err);
    if (rc == 0)
        rc = cli_remote_open(cli, CLI_NEED_DAEMON, &remote, err);
    if (rc == 0)
        rc = cli_resolve_dag(&remote, cli_operand(cli, 0), id, err);
    if (rc == 0) {
        add_request(&body, cli, from_ms, to_ms);
        rc = cli_remote_call(&remote, "POST", arena_printf(&cli->arena, "/api/v1/dags/%s/backfill", id), NULL, &body,
                             &answer, err);
    }
    if (rc == 0 && cli_wants_json(cli))
        cli_show_body(cli, &answer);
    else if (rc == 0)
        rc = show_plan(cli, &answer, err);
    cli_remote_close(&remote);
    buf_fini(&body);
    buf_fini(&answer);
    return rc;
}
