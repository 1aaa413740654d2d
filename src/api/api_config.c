/* The daemon's settings as they are in use, and where each came from. */
#include "api/api_handlers.h"
#include "api/api_call.h"
#include "base/json.h"

static void put_setting(struct json *json, const struct api_setting *setting)
{
    json_begin_object(json);
    json_kv_string(json, "name", setting->name);
    json_key(json, "values");
    json_begin_array(json);
    for (size_t i = 0; i < setting->value_count; i++)
        json_add_string(json, setting->values[i]);
    json_end_array(json);
    json_kv_string(json, "origin", api_names_origins(setting->origin));
    json_kv_string(json, "place", setting->place);
    json_kv_bool(json, "reloads", setting->reloads);
    json_kv_string(json, "summary", setting->summary);
    json_end_object(json);
}

void api_get_config(struct api_call *call)
{
    const struct api_backend *backend = &call->api->backend;
    struct api_setting *settings = NULL;
    size_t count = 0;
    if (backend->get_settings)
        count = backend->get_settings(backend->settings_context, api_arena(call), &settings);
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_array(&json);
    for (size_t i = 0; i < count; i++)
        put_setting(&json, &settings[i]);
    json_end_array(&json);
    api_reply_json(call, 200, &body);
}
