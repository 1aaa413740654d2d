/* What the last runs of DAGs say about them, for lists of DAGs. Work is bounded: one page of active runs for all DAGs
 * of a list, and for each DAG one page of its ended runs by their index. */
#ifndef PAWL_API_API_STATS_H
#define PAWL_API_API_STATS_H

#include "api/api_call.h"
#include "store/store.h"

enum { API_STATS_RUNS_MAX = 100 };

struct cron_zone;

struct api_stats {
    struct api_call *call;
    uint32_t runs_max;              /* of each DAG */
    int64_t now_ms;
    struct store_runs active;       /* the newest active ones of all DAGs */
    struct api_stats_zone {
        const char *name;           /* NULL: the daemon's */
        struct cron_zone *zone;     /* NULL: it cannot be read */
    } *zones;
    size_t zone_count, zone_cap;
};

/* In the call's arena but for the zones: api_stats_fini. */
int api_stats_init(struct api_stats *stats, struct api_call *call, uint32_t runs_max, struct error *err);
void api_stats_fini(struct api_stats *stats);
/* Adds one DAG's statistics as a value. */
int api_stats_add(struct api_stats *stats, const struct store_dag *dag, struct json *json, struct error *err);
/* A zone by name, read once; NULL: there is none. */
const struct cron_zone *api_stats_zone(struct api_stats *stats, const char *name);

#endif
