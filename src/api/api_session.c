/* Who is there, and sessions of the web UI. A session is the token in a cookie that scripts cannot read. It has no
 * Path: browsers then take the folder of the request, which is the UI's own, under whatever prefix a proxy put it. */
#include <stdio.h>

#include "api/api_auth.h"
#include "api/api_call.h"
#include "api/api_handlers.h"

static void reply_me(struct api_call *call, enum api_role role)
{
    const struct api_config *config = &call->api->config;
    const char *name = api_table_role_name(role);
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_object(&json);
    json_kv_string(&json, "principal", *call->principal ? call->principal : NULL);
    json_kv_string(&json, "role", name);
    json_kv_bool(&json, "tokenRequired", config->token_required);
    json_kv_string(&json, "version", PAWL_VERSION);
    json_kv_string(&json, "host", config->node_host);
    json_kv_uuid(&json, "node", config->node_id);
    json_end_object(&json);
    api_reply_header(call, "Cache-Control", "no-store");
    api_reply_json(call, 200, &body);
}

void api_get_me(struct api_call *call)
{
    reply_me(call, api_auth_who(call));
}

/* value: "" ends the session. */
static void set_cookie(struct api_call *call, const char *value)
{
    char name[API_AUTH_COOKIE_NAME_MAX];
    if (call->offline)
        return;
    api_auth_cookie_name(call, name);
    const char *text = arena_printf(api_arena(call), "%s=%s; HttpOnly; SameSite=Strict%s%s", name, value,
                                    call->api->is_tls ? "; Secure" : "", *value ? "" : "; Max-Age=0");
    api_reply_header(call, "Set-Cookie", text);
}

void api_create_session(struct api_call *call)
{
    enum api_role role;
    const char *token = call->body[API_FIELD_TOKEN].text;
    if (!api_auth_sign_in(call, token, &role))
        return;
    set_cookie(call, token);
    reply_me(call, role);
}

void api_delete_session(struct api_call *call)
{
    set_cookie(call, "");
    api_reply_empty(call, 204);
}
