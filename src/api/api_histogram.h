/* A histogram of durations as Prometheus counts: how many took no longer than each bound. Thread-safe. */
#ifndef PAWL_API_API_HISTOGRAM_H
#define PAWL_API_API_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"

/* From one millisecond to a day; what took longer counts in the last one, +Inf. */
enum { API_HISTOGRAM_BUCKETS = 14 };

struct api_histogram {
    atomic_ullong buckets[API_HISTOGRAM_BUCKETS]; /* each duration in one of them */
    atomic_ullong sum_ms;
};

void api_histogram_add(struct api_histogram *histogram, int64_t ms); /* less than 0 counts as 0 */
/* Appends the samples of `name`, in seconds; `label` is put before le: a="b", or "". Nothing when nothing was
 * counted and `label` is not "". */
void api_histogram_put(struct buf *out, const struct api_histogram *histogram, const char *name, const char *label);
/* One line of a histogram: how many took no longer than so many microseconds; -1: +Inf. */
void api_histogram_put_bucket(struct buf *out, const char *name, const char *label, int64_t bound_us, uint64_t count);

#endif
