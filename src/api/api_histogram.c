#include "api/api_histogram.h"

#include <assert.h>
#include <inttypes.h>

static const int64_t bounds_ms[] = {1, 5, 10, 50, 100, 500, 1000, 5000, 30000, 60000, 600000, 3600000, 86400000};
static_assert(sizeof bounds_ms / sizeof bounds_ms[0] == API_HISTOGRAM_BUCKETS - 1, "the last one is +Inf");

void api_histogram_add(struct api_histogram *histogram, int64_t ms)
{
    int at = 0;
    while (at < API_HISTOGRAM_BUCKETS - 1 && ms > bounds_ms[at])
        at++;
    (void)atomic_fetch_add_explicit(&histogram->buckets[at], 1, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&histogram->sum_ms, ms > 0 ? (unsigned long long)ms : 0, memory_order_relaxed);
}

void api_histogram_put_bucket(struct buf *out, const char *name, const char *label, int64_t bound_us, uint64_t count)
{
    const char *comma = *label ? "," : "";
    if (bound_us < 0)
        buf_printf(out, "scheduler_%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, label, comma, count);
    else
        buf_printf(out, "scheduler_%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, label, comma,
                   (double)bound_us / 1e6, count);
}

static void put_labels(struct buf *out, const char *label)
{
    if (*label)
        buf_printf(out, "{%s}", label);
}

void api_histogram_put(struct buf *out, const struct api_histogram *histogram, const char *name, const char *label)
{
    uint64_t counts[API_HISTOGRAM_BUCKETS], total = 0;
    for (int i = 0; i < API_HISTOGRAM_BUCKETS; i++) {
        total += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
        counts[i] = total;
    }
    if (!total && *label)
        return;
    for (int i = 0; i < API_HISTOGRAM_BUCKETS; i++)
        api_histogram_put_bucket(out, name, label, i < API_HISTOGRAM_BUCKETS - 1 ? bounds_ms[i] * 1000 : -1, counts[i]);
    uint64_t sum_ms = atomic_load_explicit(&histogram->sum_ms, memory_order_relaxed);
    buf_printf(out, "scheduler_%s_sum", name);
    put_labels(out, label);
    buf_printf(out, " %" PRIu64 ".%03" PRIu64 "\nscheduler_%s_count", sum_ms / 1000, sum_ms % 1000, name);
    put_labels(out, label);
    buf_printf(out, " %" PRIu64 "\n", total);
}
