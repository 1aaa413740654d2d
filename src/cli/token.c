/* pawl token: works on the data directory itself, so that it needs no daemon and no token. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "auth/auth.h"
#include "auth/auth_audit.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "store/store_dir.h"

static void put_json(struct json *json, const struct auth_token *token, const char *text)
{
    json_begin_object(json);
    json_kv_string(json, "id", token->id);
    json_kv_string(json, "name", token->name);
    json_kv_string(json, "role", auth_role_name(token->role));
    json_kv_time(json, "createdAt", token->created_ms);
    json_kv_time(json, "expiresAt", token->expires_ms);
    if (text)
        json_kv_string(json, "token", text);
    json_end_object(json);
}

/* Makes the directory when there is none, as a daemon would; beside a daemon it is there. */
static int make_dir(const char *data, struct error *err)
{
    struct store_dir dir;
    if (access(data, F_OK) == 0)
        return 0;
    int rc = store_dir_open(data, &dir, err);
    if (rc == 0)
        store_dir_close(&dir);
    return rc;
}

/* It is done by then: that it cannot be recorded is said and no failure. */
static void record(struct cli *cli, const char *action, const struct auth_token *token)
{
    struct error err;
    const char *details = arena_printf(&cli->arena, "%s, role %s, id %s", token->name, auth_role_name(token->role),
                                       token->id);
    const struct auth_audit_entry entry = {
        .action = action, .principal = "owner", .role = "admin", .outcome = "done", .details = details};
    if (auth_audit_append(cli_text(cli, CLI_DATA), &entry, &err) != 0)
        cli_say(cli, "this is not recorded: %s", err.text);
}

int cli_token_create(struct cli *cli, struct error *err)
{
    const char *data = cli_text(cli, CLI_DATA), *role_name = cli_text(cli, CLI_ROLE);
    struct auth_token token;
    enum auth_role role;
    char text[AUTH_TEXT_LEN + 1];
    struct json json;
    if (!role_name || !auth_role_parse(role_name, &role))
        return error_set(err, ERROR_USAGE, "--role is needed: viewer (reads), operator (also runs) or admin (also "
                         "changes DAGs)");
    int rc = make_dir(data, err);
    if (rc == 0)
        rc = auth_token_create(data, role, cli_text(cli, CLI_TOKEN_NAME), cli_number(cli, CLI_EXPIRES), &token, text,
                               err);
    if (rc)
        return rc;
    record(cli, "token.create", &token);
    if (cli_wants_json(cli)) {
        json_init(&json, &cli->out);
        put_json(&json, &token, text);
        buf_add_char(&cli->out, '\n');
    } else {
        buf_printf(&cli->out, "%s\n", text);
        cli_say(cli, "this is the only time that the token of %s (%s) is shown", token.name, token.id);
    }
    explicit_bzero(text, sizeof text);
    return 0;
}

static void list_table(struct cli *cli, const struct auth_tokens *tokens)
{
    static const char *const titles[] = {"ID", "NAME", "ROLE", "CREATED", "EXPIRES", NULL};
    int64_t now_ms = clock_wall_ms();
    struct cli_grid grid;
    cli_grid_init(&grid, titles);
    for (size_t i = 0; i < tokens->count; i++) {
        const struct auth_token *token = &tokens->items[i];
        cli_grid_add(&grid, token->id);
        cli_grid_add(&grid, token->name);
        cli_grid_add(&grid, auth_role_name(token->role));
        cli_grid_add(&grid, cli_show_time(cli, token->created_ms));
        cli_grid_add(&grid, auth_is_expired(token, now_ms) ? "expired"
                            : token->expires_ms            ? cli_show_time(cli, token->expires_ms)
                                                           : "never");
    }
    cli_show_grid(cli, &grid);
    cli_grid_fini(&grid);
}

int cli_token_list(struct cli *cli, struct error *err)
{
    struct auth_tokens tokens;
    struct json json;
    int rc = auth_tokens_read(cli_text(cli, CLI_DATA), &tokens, err);
    if (rc)
        return rc;
    if (cli_wants_json(cli)) {
        json_init(&json, &cli->out);
        json_begin_array(&json);
        for (size_t i = 0; i < tokens.count; i++)
            put_json(&json, &tokens.items[i], NULL);
        json_end_array(&json);
        buf_add_char(&cli->out, '\n');
    } else {
        list_table(cli, &tokens);
    }
    auth_tokens_fini(&tokens);
    return 0;
}

int cli_token_revoke(struct cli *cli, struct error *err)
{
    const char *data = cli_text(cli, CLI_DATA);
    struct auth_token token;
    if (access(data, F_OK) != 0)
        return error_set(err, ERROR_NOT_FOUND, "%s: %s", data, strerror(errno));
    int rc = auth_token_revoke(data, cli_operand(cli, 0), &token, err);
    if (rc == 0)
        record(cli, "token.revoke", &token);
    if (rc == 0)
        cli_say(cli, "%s (%s, %s) is no longer accepted", token.name, token.id, auth_role_name(token.role));
    return rc;
}
