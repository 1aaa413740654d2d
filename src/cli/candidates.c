/* What completion offers. */
#include <string.h>

#include "cli/commands.h"
#include "cli/parse.h"
#include "cli/remote.h"
#include "cli/report.h"
#include "cli/settings.h"
#include "dag/dag_text.h"

enum { CANDIDATES_MAX = 200 };

/* A name with a line break or the like cannot be typed anyway. */
static bool is_typeable(const char *text)
{
    return text[0] && dag_text_bad_character(text, strlen(text)) == 0;
}

int cli_candidates(struct cli *cli, const char *kind, struct error *err)
{
    static const struct {
        const char *kind, *command, *query, *id_key, *name_key;
    } kinds[] = {
        {"dags", "dags list", "/api/v1/dags", "id", "name"},
        {"runs", "runs list", "/api/v1/runs", "runId", NULL},
        {"workers", "workers list", "/api/v1/workers", "id", NULL},
        {"letters", "dlq list", "/api/v1/dlq?status=pending", "id", NULL},
    };
    size_t i = 0, index;
    while (i < sizeof kinds / sizeof kinds[0] && strcmp(kinds[i].kind, kind) != 0)
        i++;
    if (i == sizeof kinds / sizeof kinds[0])
        return error_set(err, ERROR_USAGE, "no candidates for '%.100s'", kind);
    struct cli_remote remote = {0};
    json_t *list = NULL, *item;
    cli->command = cli_find_command(kinds[i].command);
    int rc = cli_settings_merge(cli, err);
    if (rc == 0)
        rc = cli_remote_open(cli, CLI_NEED_ANSWERS, &remote, err);
    if (rc == 0 && strcmp(kind, "workers") == 0)
        rc = cli_remote_get_json(&remote, kinds[i].query, &list, err);
    else if (rc == 0)
        rc = cli_remote_list(&remote, kinds[i].query, kinds[i].id_key, CANDIDATES_MAX, &list, err);
    json_array_foreach(list, index, item) {
        const char *name = kinds[i].name_key ? cli_json_text(item, kinds[i].name_key)
                                             : cli_short_id(cli_json_text(item, kinds[i].id_key));
        if (is_typeable(name))
            buf_printf(&cli->out, "%s\n", name);
    }
    json_decref(list);
    cli_remote_close(&remote);
    return rc;
}
