#include "api/api_kept.h"

#include "api/api_core.h"
#include "store/store.h"

int api_kept_log(struct api *api, struct uuid run_id, uint32_t task, uint32_t number, struct arena *arena,
                 const char **ret_log, size_t *ret_len, struct error *err)
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
    bool is_it = found.count == 1 && found.items[0].number == number;
    *ret_log = is_it ? found.items[0].log : NULL;
    *ret_len = is_it && *ret_log ? found.items[0].log_len : 0;
    return 0;
}
