/* pawl. The modules, from the top; each uses only those below it (tools/layers):
 *
 *     main     this file
 *     cli      commands, options, help
 *     client   HTTP calls of the commands          server   the daemon's parts put together
 *     api      REST                                pool     the daemon's side of the workers
 *     worker   the worker process                  live     snapshots of active runs
 *     engine   runs, readiness, retries            store    what is durable
 *     http     requests and replies                dag      DAG files        cron   next fire times
 *     state    words and legal moves               loop     epoll, timers    base   everything small */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
