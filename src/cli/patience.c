#include "cli/patience.h"

#include <poll.h>

#include "base/clock.h"

enum { PAUSE_MAX_MS = 5000, ROUNDS_MAX = 20, ROUNDS_SILENT = 3 };

bool cli_patience_is_for(int code)
{
    return code == ERROR_UNREACHABLE || code == ERROR_STOPPING || code == ERROR_STORE_FAILED ||
           code == ERROR_STORE_AWAY;
}

int cli_patience_pause(const struct cli_patience *patience, int64_t pause_ms, struct error *err)
{
    struct pollfd ready = {.fd = patience->cli->interrupt_fd, .events = POLLIN};
    int64_t now_ms = clock_boot_ms(), deadline_ms = patience->deadline_ms;
    if (deadline_ms && now_ms + pause_ms > deadline_ms)
        pause_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    if (poll(&ready, 1, (int)pause_ms) > 0)
        return error_set(err, ERROR_INTERRUPTED, "interrupted; the run goes on");
    if (deadline_ms && clock_boot_ms() >= deadline_ms)
        return error_set(err, ERROR_TIMED_OUT, "the run has not ended; it goes on");
    return 0;
}

int cli_patience_ask(const struct cli_patience *patience, int ask(void *context, struct error *err), void *context,
                     struct error *err)
{
    int64_t pause_ms = CLI_PATIENCE_MIN_MS;
    int rc = 0;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        buf_clear(&patience->cli->hint); /* of the round before */
        rc = ask(context, err);
        if (!cli_patience_is_for(rc))
            return rc;
        if (round == ROUNDS_SILENT && !patience->silent)
            cli_say(patience->cli, "%s; asking again", err->text);
        struct error why;
        int pause_rc = cli_patience_pause(patience, pause_ms, &why);
        if (pause_rc) {
            *err = why;
            return pause_rc;
        }
        pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
    }
    return rc;
}
