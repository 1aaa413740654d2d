#include "cli/eta.h"

enum { ENDED_MIN = 3, ELAPSED_MIN_MS = 1000 };

int64_t cli_eta_estimate(const struct cli_eta *eta)
{
    if (eta->left == 0)
        return 0;
    /* A twentieth of the tasks, so that a handful of short ones at the beginning does not speak for thousands. */
    if (eta->ended < ENDED_MIN || eta->elapsed_ms < ELAPSED_MIN_MS || eta->ended < eta->left / 20)
        return -1;
    if (eta->busy_ms == 0)
        return (int64_t)((double)eta->elapsed_ms / eta->ended * eta->left);
    double mean = (double)eta->busy_ms / eta->ended;
    double work = mean * eta->left - (double)eta->running_ms;
    double lanes = eta->slots == 0 ? (double)eta->busy_ms / (double)eta->elapsed_ms
                   : eta->slots < eta->left ? eta->slots
                                            : eta->left;
    double spread = work > 0 ? work / (lanes > 1 ? lanes : 1) : 0;
    double chain = mean * eta->path;
    double most = spread > chain ? spread : chain;
    return (int64_t)most;
}
