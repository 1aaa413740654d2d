/* pawl openapi: the document the API serves, from the same table. */
#include "api/api.h"
#include "cli/commands.h"

int cli_openapi(struct cli *cli, struct error *err)
{
    (void)err;
    api_openapi(&cli->out);
    return 0;
}
