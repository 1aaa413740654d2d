/* What is counted since the start. GET /metrics shows it (api_metrics_text.c). Thread-safe. */
#ifndef PAWL_API_API_METRICS_H
#define PAWL_API_API_METRICS_H

#include <stdint.h>

#include "api/api_table.h"

struct api_metrics;
struct batch;
struct live;

struct api_metrics *api_metrics_new(void);
void api_metrics_free(struct api_metrics *metrics); /* NULL is allowed */
/* A request was answered; route NULL: there is none; status 0: the client left before the answer. */
void api_metrics_count(struct api_metrics *metrics, const struct api_route *route, unsigned status, int64_t took_us);
/* The engine's thread; a batch is durable and `live` (NULL: types of tasks are unknown) shows it: counts what ended. */
void api_metrics_publish(struct api_metrics *metrics, const struct batch *batch, struct live *live);

#endif
