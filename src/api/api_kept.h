/* Logs that became no file: short ones of brief attempts are kept with the attempt's row. */
#ifndef PAWL_API_API_KEPT_H
#define PAWL_API_API_KEPT_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/uuid.h"

struct api;

/* *ret_log is in the arena; NULL when the attempt has none of this kind. */
int api_kept_log(struct api *api, struct uuid run_id, uint32_t task, uint32_t number, struct arena *arena,
                 const char **ret_log, size_t *ret_len, struct error *err);

#endif
