/* The inside of an api: what its files share. */
#ifndef PAWL_API_API_CORE_H
#define PAWL_API_API_CORE_H

#include <stdatomic.h>
#include <stdint.h>

#include "api/api.h"
#include "http/http.h"
#include "http/http_router.h"
#include "live/live.h"
#include "store/store.h"

struct api_cache;       /* api_cache.h */
struct api_dags;        /* api_source.h */
struct api_events;      /* api_events.c */
struct api_metrics;     /* api_metrics.h */

struct api {
    struct api_config config;       /* texts borrowed */
    struct api_backend backend;
    struct http_router router;      /* values are struct api_route */
    struct http_server *server;     /* NULL until api_start */
    bool is_tls;
    struct api_dags *dags;
    struct api_cache *cache;
    struct api_events *events;
    struct api_metrics *metrics;
};

#endif
