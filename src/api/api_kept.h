/* What is kept with an attempt's row: what it used, and a log that became no file since it was short and of a brief
 * attempt. */
#ifndef PAWL_API_API_KEPT_H
#define PAWL_API_API_KEPT_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/uuid.h"

struct api;
struct record_attempt;

/* *ret_attempt is in the arena, with its log when that is in no file; NULL when there is no such attempt. */
int api_kept_attempt(struct api *api, struct uuid run_id, uint32_t task, uint32_t number, struct arena *arena,
                     const struct record_attempt **ret_attempt, struct error *err);

/* *ret_log is in the arena; NULL when the attempt has none of this kind. */
int api_kept_log(struct api *api, struct uuid run_id, uint32_t task, uint32_t number, struct arena *arena,
                 const char **ret_log, size_t *ret_len, struct error *err);

#endif
