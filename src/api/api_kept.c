#include "api/api_kept.h"

#include "api/api_core.h"
#include "store/store.h"

int api_kept_attempt(struct api *api, struct uuid run_id, uint32_t task, uint32_t number, struct arena *arena,
                     const struct record_attempt **ret_attempt, struct error *err)
{
    const struct store_attempt_query query = {
        .run_id = run_id,
        .by_task = true,
        .task = task,
        .after = true,
        .after_task = task,
        .after_number = number - 1,
        .limit = 1,
        .with_logs = true,
    };
    struct store_attempts found = {0};
    int code = api->backend.store ? store_list_attempts(api->backend.store, &query, arena, &found, err) : 0;
    if (code)
        return code;
    *ret_attempt = found.count == 1 && found.items[0].number == number ? &found.items[0] : NULL;
    return 0;
}

int api_kept_log(struct api *api, struct uuid run_id, uint32_t task, uint32_t number, struct arena *arena,
                 const char **ret_log, size_t *ret_len, struct error *err)
{
    const struct record_attempt *attempt;
    int code = api_kept_attempt(api, run_id, task, number, arena, &attempt, err);
    if (code)
        return code;
    *ret_log = attempt ? attempt->log : NULL;
    *ret_len = *ret_log ? attempt->log_len : 0;
    return 0;
}
