#include "cli/server_options.h"

#include <string.h>

#include "base/str.h"
#include "cli/address.h"

/* A setting the command does not have has its default. */
static int64_t number(const struct cli *cli, enum cli_option_id id)
{
    return cli_given(cli, id) ? cli_number(cli, id) : cli_option_number(&cli_options[id], cli_options[id].preset);
}

static bool flag(const struct cli *cli, enum cli_option_id id)
{
    return cli_given(cli, id) && cli_flag(cli, id);
}

static struct server_secret *secrets_of(struct cli *cli)
{
    const struct cli_value *value = &cli->values[CLI_SECRETS];
    struct server_secret *secrets = arena_array(&cli->arena, value->count, sizeof *secrets);
    for (size_t i = 0; i < value->count; i++) {
        size_t len = strcspn(value->items[i], "=");
        const char *where = value->items[i] + len + 1;
        secrets[i].name = arena_strndup(&cli->arena, value->items[i], len);
        if (str_starts_with(where, "file:"))
            secrets[i].file = where + strlen("file:");
        else
            secrets[i].variable = where + strlen("env:");
    }
    return secrets;
}

int cli_server_options(struct cli *cli, struct server_options *ret_options, struct error *err)
{
    const char *listen = cli_given(cli, CLI_LISTEN) ? cli_text(cli, CLI_LISTEN) : cli_options[CLI_LISTEN].preset;
    const char *store = cli_text(cli, CLI_STORE);
    const char *durability = cli_text(cli, CLI_DURABILITY);
    struct cli_address address;
    int rc = cli_address_parse(listen, &address, err);
    if (rc)
        return rc;
    *ret_options = (struct server_options){
        .data_dir = cli_text(cli, CLI_DATA),
        .store_url = store && strcmp(store, "sqlite") != 0 ? store : NULL,
        .lease_ms = number(cli, CLI_LEASE),
        .listen_host = arena_strdup(&cli->arena, address.host),
        .listen_port = address.port,
        .workers = (uint32_t)number(cli, CLI_WORKERS),
        .slots = (uint32_t)number(cli, CLI_SLOTS),
        .http_threads = (uint32_t)number(cli, CLI_HTTP_THREADS),
        .durability = durability && strcmp(durability, "relaxed") == 0 ? SERVER_DURABILITY_RELAXED
                                                                         : SERVER_DURABILITY_FULL,
        .grace_ms = number(cli, CLI_GRACE),
        .drain_ms = number(cli, CLI_DRAIN),
        .request_timeout_ms = number(cli, CLI_REQUEST_TIMEOUT),
        .idle_timeout_ms = number(cli, CLI_IDLE_TIMEOUT),
        .waiting_tasks_max = (uint32_t)number(cli, CLI_WAITING_TASKS_MAX),
        .active_runs_max = (uint32_t)number(cli, CLI_ACTIVE_RUNS_MAX),
        .connections_max = (uint32_t)number(cli, CLI_CONNECTIONS_MAX),
        .log_bytes_max = number(cli, CLI_LOG_BYTES_MAX),
        .keep_age_ms = number(cli, CLI_KEEP_AGE),
        .keep_runs = number(cli, CLI_KEEP_RUNS),
        .keep_bytes = number(cli, CLI_KEEP_BYTES),
        .keep_letters = number(cli, CLI_KEEP_LETTERS),
        .keep_letters_age_ms = number(cli, CLI_KEEP_LETTERS_AGE),
        .http_deny_private = flag(cli, CLI_HTTP_DENY_PRIVATE),
        .http_networks = cli->values[CLI_HTTP_NETWORKS].items,
        .http_network_count = (uint32_t)cli->values[CLI_HTTP_NETWORKS].count,
        .run_as = cli_text(cli, CLI_RUN_AS),
        .run_as_allowed = cli->values[CLI_RUN_AS_ALLOWED].items,
        .run_as_allowed_count = (uint32_t)cli->values[CLI_RUN_AS_ALLOWED].count,
        .run_as_work = cli_text(cli, CLI_RUN_AS_WORK),
        .allowed_hosts = cli->values[CLI_ALLOWED_HOSTS].items,
        .allowed_host_count = (uint32_t)cli->values[CLI_ALLOWED_HOSTS].count,
        .base_path = cli_text(cli, CLI_BASE_PATH),
        .secrets = secrets_of(cli),
        .secret_count = (uint32_t)cli->values[CLI_SECRETS].count,
        .require_token = flag(cli, CLI_REQUIRE_TOKEN),
        .allow_anonymous = flag(cli, CLI_ALLOW_ANONYMOUS),
        .allow_plain_http = flag(cli, CLI_ALLOW_PLAIN_HTTP),
        .tls_cert = cli_text(cli, CLI_TLS_CERT),
        .tls_key = cli_text(cli, CLI_TLS_KEY),
        .die_with_parent = flag(cli, CLI_DIE_WITH_PARENT),
    };
    return 0;
}

void cli_log_init(const struct cli *cli, enum log_level least)
{
    static const struct {
        const char *name;
        enum log_form form;
    } forms[] = {{"auto", LOG_AUTO}, {"text", LOG_TEXT}, {"json", LOG_JSON}};
    const char *format = cli_text(cli, CLI_LOG_FORMAT);
    enum log_form form = LOG_AUTO;
    enum log_level level;
    for (size_t i = 0; format && i < sizeof forms / sizeof forms[0]; i++)
        if (strcmp(format, forms[i].name) == 0)
            form = forms[i].form;
    if (cli->values[CLI_LOG_LEVEL].origin > CLI_ORIGIN_DEFAULT && log_level_parse(cli_text(cli, CLI_LOG_LEVEL), &level))
        least = level;
    log_init(least, form);
}
