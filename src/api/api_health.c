/* Health by component, and the probes. */
#include <stdio.h>

#include "api/api_call.h"
#include "api/api_handlers.h"
#include "base/clock.h"
#include "base/mem.h"

/* How long work may wait for the engine before it counts as slow, and as stuck. */
enum { SLOW_MS = 5 * 1000, STUCK_MS = 60 * 1000 };

enum health { HEALTH_OK, HEALTH_DEGRADED, HEALTH_FAILED };

struct part {
    enum health health;
    char words[300];            /* "": nothing to say */
};

struct picture {
    bool has_status;
    struct api_status status;
    bool has_store;
    struct store_status store;
    int64_t latency_us;
    size_t workers, draining, awaited;
    uint64_t slots, running;
    struct part engine, store_part, workers_part, isolation;
};

#define SAY(part, level, ...)                                                                                    \
    ((part)->health = (level), (void)snprintf((part)->words, sizeof(part)->words, __VA_ARGS__))

static void look_at_engine(struct picture *picture, const struct api *api)
{
    struct part *part = &picture->engine;
    picture->has_status = api->backend.get_status != NULL;
    if (!picture->has_status) {
        SAY(part, HEALTH_FAILED, "no engine runs here");
        return;
    }
    api->backend.get_status(api->backend.context, &picture->status);
    const struct api_status *status = &picture->status;
    if (status->turn_age_ms > STUCK_MS)
        SAY(part, HEALTH_FAILED, "work has waited for %lld ms", (long long)status->turn_age_ms);
    else if (status->turn_age_ms > SLOW_MS)
        SAY(part, HEALTH_DEGRADED, "work has waited for %lld ms", (long long)status->turn_age_ms);
    else if (!status->ready)
        SAY(part, HEALTH_DEGRADED, "recovery is not complete");
    else if (status->draining)
        SAY(part, HEALTH_DEGRADED, "the daemon is stopping: nothing new starts");
}

static void look_at_store(struct picture *picture, struct store *store)
{
    struct part *part = &picture->store_part;
    struct error err;
    if (!store) {
        SAY(part, HEALTH_FAILED, "it is not open");
        return;
    }
    int64_t start_us = clock_boot_us();
    int rc = store_ping(store, &err);
    picture->latency_us = clock_boot_us() - start_us;
    if (!rc)
        rc = store_get_status(store, &picture->store, &err);
    picture->has_store = rc == 0;
    if (rc)
        SAY(part, HEALTH_FAILED, "%.250s", err.text);
    else if (picture->store.failed)
        SAY(part, HEALTH_FAILED, "an I/O error ended it; restart the daemon once its disk is sound");
    else if (picture->store.room == STORE_ROOM_AWAY)
        SAY(part, HEALTH_FAILED, "the database cannot be reached: nothing can be recorded until it can");
    else if (picture->store.room == STORE_ROOM_NONE)
        SAY(part, HEALTH_FAILED, "the disk is full: nothing can be recorded until there is room");
    else if (picture->store.room == STORE_ROOM_LOW)
        SAY(part, HEALTH_DEGRADED, "the disk is full: what runs is recorded from the reserve, nothing new starts");
}

static void look_at_workers(struct picture *picture, const struct api *api)
{
    struct part *part = &picture->workers_part;
    struct api_worker *workers = NULL;
    picture->workers = api->backend.get_workers ? api->backend.get_workers(api->backend.context, &workers) : 0;
    for (size_t i = 0; i < picture->workers; i++) {
        picture->slots += workers[i].slots;
        picture->running += workers[i].running;
        picture->draining += workers[i].state == WORKER_DRAINING;
        picture->awaited += workers[i].awaited;
    }
    mem_free(workers);
    const struct api_status *status = &picture->status;
    if (!picture->has_status || status->draining)
        return;
    size_t answering = picture->workers - picture->awaited;
    bool none = answering == 0 && status->workers_wanted > 0;
    if (none && status->ready)
        SAY(part, HEALTH_FAILED, "there is none");
    else if (answering < status->workers_wanted)
        SAY(part, HEALTH_DEGRADED, "%zu of %u are there", answering, status->workers_wanted);
    else if (picture->awaited)
        SAY(part, HEALTH_DEGRADED, "%zu of a former daemon live and do not say what they run (stopped?): that goes on, "
            "and is lost when they die", picture->awaited);
    else if (picture->draining && picture->draining == picture->workers)
        SAY(part, HEALTH_DEGRADED, "all of them are draining");
}

static void take_picture(struct picture *picture, const struct api *api)
{
    *picture = (struct picture){0};
    look_at_engine(picture, api);
    look_at_store(picture, api->backend.store);
    look_at_workers(picture, api);
    const char *isolation = picture->has_status ? picture->status.isolation : NULL;
    if (isolation && isolation[0] != 'c')
        SAY(&picture->isolation, HEALTH_OK, "no writable cgroup v2: what a task leaves behind is found by session, "
            "parentage and environment");
}

static enum health worst(const struct picture *picture)
{
    const struct part *parts[] = {&picture->engine, &picture->store_part, &picture->workers_part,
                                  &picture->isolation};
    enum health health = HEALTH_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        health = parts[i]->health > health ? parts[i]->health : health;
    return health;
}

static void begin_part(struct json *json, const char *name, const struct part *part)
{
    json_key(json, name);
    json_begin_object(json);
    json_kv_string(json, "status", api_names_health(part->health));
    json_kv_string(json, "message", part->words[0] ? part->words : NULL);
}

static void add_known(struct json *json, const char *key, bool known, int64_t value)
{
    if (known)
        json_kv_int(json, key, value);
    else
        json_kv_null(json, key);
}

static void write_parts(struct json *json, const struct picture *picture)
{
    const struct api_status *status = &picture->status;
    const struct store_status *store = &picture->store;
    bool known = picture->has_store;
    begin_part(json, "engine", &picture->engine);
    json_kv_bool(json, "ready", status->ready);
    json_kv_bool(json, "draining", status->draining);
    json_kv_int(json, "activeRuns", status->active_runs);
    json_kv_int(json, "waitingTasks", (int64_t)status->waiting_tasks);
    json_kv_int(json, "readyTasks", (int64_t)status->ready_tasks);
    json_kv_int(json, "turnAgeMs", status->turn_age_ms);
    json_kv_int(json, "turnMaxUs", status->turn_us_max);
    json_end_object(json);
    begin_part(json, "store", &picture->store_part);
    json_kv_string(json, "kind", known ? store->kind : NULL);
    add_known(json, "latencyUs", known, picture->latency_us);
    json_kv_string(json, "room", known ? store_room_name(store->room) : NULL);
    add_known(json, "bytes", known && store->store_bytes > 0, store->store_bytes);
    add_known(json, "freeBytes", known && store->free_bytes >= 0, store->free_bytes);
    json_kv_string(json, "durability",
                   !known ? NULL : store->durability == STORE_DURABILITY_FULL ? "full" : "relaxed");
    json_end_object(json);
    begin_part(json, "workers", &picture->workers_part);
    json_kv_int(json, "wanted", status->workers_wanted);
    json_kv_int(json, "present", (int64_t)picture->workers);
    json_kv_int(json, "draining", (int64_t)picture->draining);
    json_kv_int(json, "slots", (int64_t)picture->slots);
    json_kv_int(json, "runningTasks", (int64_t)picture->running);
    json_end_object(json);
    begin_part(json, "isolation", &picture->isolation);
    json_kv_string(json, "kind", status->isolation ? status->isolation : "none");
    json_end_object(json);
}

void api_get_health(struct api_call *call)
{
    const struct api_config *config = &call->api->config;
    struct picture picture;
    struct buf body = BUF_INIT;
    struct json json;
    take_picture(&picture, call->api);
    enum health health = worst(&picture);
    int64_t up_ms = clock_wall_ms() - config->started_ms;
    json_init(&json, &body);
    json_begin_object(&json);
    json_kv_string(&json, "status", api_names_health(health));
    json_kv_string(&json, "version", PAWL_VERSION);
    json_kv_uuid(&json, "nodeId", config->node_id);
    json_kv_string(&json, "host", config->node_host);
    json_kv_time(&json, "startedAt", config->started_ms);
    json_key(&json, "uptimeSeconds");
    json_add_double(&json, up_ms > 0 ? (double)up_ms / 1000 : 0);
    json_key(&json, "components");
    json_begin_object(&json);
    write_parts(&json, &picture);
    json_end_object(&json);
    json_end_object(&json);
    api_reply_json(call, health == HEALTH_FAILED ? 503 : 200, &body);
}

static void reply_probe(struct api_call *call, bool ok, const char *words)
{
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_object(&json);
    json_kv_string(&json, "status", ok ? "ok" : words);
    json_end_object(&json);
    api_reply_json(call, ok ? 200 : 503, &body);
}

void api_get_ready(struct api_call *call)
{
    struct picture picture;
    take_picture(&picture, call->api);
    bool engine_ok = picture.has_status && picture.status.ready && !picture.status.draining
                     && picture.engine.health != HEALTH_FAILED;
    if (!engine_ok)
        reply_probe(call, false, picture.engine.words);
    else
        reply_probe(call, picture.store_part.health == HEALTH_OK, picture.store_part.words);
}

void api_get_live(struct api_call *call)
{
    struct picture picture = {0};
    look_at_engine(&picture, call->api);
    reply_probe(call, !picture.has_status || picture.engine.health != HEALTH_FAILED, picture.engine.words);
}
