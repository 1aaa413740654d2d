/* pawl openapi, pawl schema: documents that the API serves too, from the same tables. */
#include "api/api.h"
#include "cli/commands.h"
#include "dag/dag_schema.h"

int cli_openapi(struct cli *cli, struct error *err)
{
    (void)err;
    api_openapi(&cli->out, cli_text(cli, CLI_BASE_PATH));
    return 0;
}

int cli_schema(struct cli *cli, struct error *err)
{
    (void)err;
    dag_schema(&cli->out);
    return 0;
}
