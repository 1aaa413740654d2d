/* Where an attempt's log lies: below DATA/logs, a folder per run. User strings are no part of it. */
#ifndef PAWL_STATE_LOG_PATH_H
#define PAWL_STATE_LOG_PATH_H

#include <stdint.h>

#include "base/buf.h"
#include "base/uuid.h"

/* Appends DATA/logs/XX/RUN-ID/TASK.NUMBER.log; XX are the last two digits of the run's id, which are random. The file
 * exists only when the attempt wrote something. */
void state_log_path(struct buf *out, const char *data_dir, struct uuid run_id, uint32_t task, uint32_t number);
/* The run's folder alone, without a slash at the end. */
void state_log_folder(struct buf *out, const char *data_dir, struct uuid run_id);

#endif
