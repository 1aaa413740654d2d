#include "api/api_auth.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <gnutls/gnutls.h>

#include "api/api_call.h"
#include "auth/auth_gate.h"
#include "base/clock.h"
#include "base/log.h"

static_assert((int)API_ROLE_NONE == (int)AUTH_ROLE_NONE && (int)API_ROLE_VIEWER == (int)AUTH_ROLE_VIEWER
                  && (int)API_ROLE_OPERATOR == (int)AUTH_ROLE_OPERATOR && (int)API_ROLE_ADMIN == (int)AUTH_ROLE_ADMIN,
              "the route table and the tokens speak of the same roles");

/* Same bytes, in a time that says nothing about them but their number. */
static bool is_same_secret(const char *a, const char *b)
{
    size_t len = strlen(a);
    return strlen(b) == len && gnutls_memcmp(a, b, len) == 0;
}

/* What follows "Bearer "; NULL without: other schemes are a proxy's business. */
static const char *bearer_of(const struct http_request *request)
{
    static const char scheme[] = "Bearer ";
    const char *value = http_header(request, "Authorization");
    if (!value || strncasecmp(value, scheme, sizeof scheme - 1) != 0)
        return NULL;
    value += sizeof scheme - 1;
    return value + strspn(value, " ");
}

/* The session's cookie: the token, for browsers, which cannot send the header where they follow a link. Cookies know no
 * ports, so the name holds it; daemons of one machine do not sign each other's users out. */
void api_auth_cookie_name(const struct api_call *call, char ret_name[API_AUTH_COOKIE_NAME_MAX])
{
    const char *host = http_header(call->request, "Host");
    const char *port = host ? strrchr(host, ':') : NULL;
    size_t digits = port ? strspn(port + 1, "0123456789") : 0;
    bool has_port = digits > 0 && digits <= 5 && port[1 + digits] == '\0';
    (void)snprintf(ret_name, API_AUTH_COOKIE_NAME_MAX, "pawl-%s", has_port ? port + 1 : "0");
}

/* The value of a cookie (RFC 6265, section 4.2.1), in the call's arena; NULL without. */
static const char *cookie_of(struct api_call *call)
{
    char name[API_AUTH_COOKIE_NAME_MAX];
    api_auth_cookie_name(call, name);
    size_t name_len = strlen(name);
    const char *at = http_header(call->request, "Cookie");
    while (at) {
        at += strspn(at, " ");
        if (strncmp(at, name, name_len) == 0 && at[name_len] == '=') {
            const char *value = at + name_len + 1;
            return arena_strndup(api_arena(call), value, strcspn(value, "; "));
        }
        at = strchr(at, ';');
        at = at ? at + 1 : NULL;
    }
    return NULL;
}

static const char *token_of(struct api_call *call)
{
    if (!call->api->config.gate)
        return NULL;
    const char *bearer = bearer_of(call->request);
    return bearer ? bearer : cookie_of(call);
}

enum api_role api_auth_who(struct api_call *call)
{
    const struct api_config *config = &call->api->config;
    struct auth_token token;
    const char *text = call->offline ? NULL : token_of(call);
    if (text && auth_gate_find(config->gate, text, clock_wall_ms(), clock_boot_ms(), &token) == AUTH_KNOWN) {
        call->principal = arena_strdup(api_arena(call), token.name);
        return (enum api_role)token.role;
    }
    if (call->offline || call->is_local || (!config->token_required && !text))
        return API_ROLE_ADMIN;
    return API_ROLE_NONE;
}

static bool refuse_token(struct api_call *call, enum auth_verdict verdict, const struct auth_token *token)
{
    unsigned char peer[HTTP_PEER_LEN];
    char text[HTTP_PEER_TEXT_MAX], seconds[24];
    http_peer(call->request, peer, text);
    struct auth_gate *gate = call->api->config.gate;
    int64_t wait_ms = gate ? auth_gate_fail(gate, peer, clock_boot_ms()) : 0;
    if (wait_ms > 0) {
        (void)snprintf(seconds, sizeof seconds, "%" PRId64, (wait_ms + 999) / 1000);
        api_reply_header(call, "Retry-After", seconds);
        api_fail(call, ERROR_TOO_MANY_REQUESTS, "Too many wrong tokens came from your address; try again in %s s",
                 seconds);
        return false;
    }
    bool expired = verdict == AUTH_EXPIRED;
    log_with(LOG_WARN,
             log_fields("requestId", call->request->id, "peer", text, "principal", expired ? token->name : NULL),
             expired ? "refused a token that has expired" : "refused a token that is not known");
    api_reply_header(call, "WWW-Authenticate", "Bearer realm=\"pawl\", error=\"invalid_token\"");
    if (expired)
        api_fail(call, ERROR_UNAUTHORIZED, "The token has expired: ask for a new one ('pawl token create')");
    else
        api_fail(call, ERROR_UNAUTHORIZED, "The token is not known here: it is mistyped or was revoked");
    return false;
}

static bool refuse_role(struct api_call *call, enum auth_role has, const char *name)
{
    const char *needed = api_table_role_name(call->route->role);
    char challenge[100];
    (void)snprintf(challenge, sizeof challenge, "Bearer realm=\"pawl\", error=\"insufficient_scope\", scope=\"%s\"",
                   needed);
    api_reply_header(call, "WWW-Authenticate", challenge);
    api_fail(call, ERROR_FORBIDDEN, "This needs the role %s; the token '%s' has the role %s", needed, name,
             auth_role_name(has));
    return false;
}

bool api_auth_sign_in(struct api_call *call, const char *text, enum api_role *ret_role)
{
    struct auth_gate *gate = call->api->config.gate;
    struct auth_token token;
    enum auth_verdict verdict = gate ? auth_gate_find(gate, text, clock_wall_ms(), clock_boot_ms(), &token)
                                     : AUTH_UNKNOWN;
    if (verdict != AUTH_KNOWN)
        return refuse_token(call, verdict, &token);
    call->principal = arena_strdup(api_arena(call), token.name);
    *ret_role = (enum api_role)token.role;
    return true;
}

bool api_auth_check(struct api_call *call)
{
    const struct api_config *config = &call->api->config;
    struct auth_token token;
    call->principal = "";
    call->role = API_ROLE_ADMIN;
    if (call->offline)
        return true;
    const char *owner = config->owner_token ? http_header(call->request, "X-Pawl-Owner") : NULL;
    call->is_local = owner && is_same_secret(config->owner_token, owner);
    if (call->route->role == API_ROLE_NONE)
        return true;
    const char *text = token_of(call);
    if (text) {
        enum auth_verdict verdict = auth_gate_find(config->gate, text, clock_wall_ms(), clock_boot_ms(), &token);
        if (verdict != AUTH_KNOWN)
            return refuse_token(call, verdict, &token);
        call->principal = arena_strdup(api_arena(call), token.name);
        call->role = (enum api_role)token.role;
        return (int)token.role >= (int)call->route->role || refuse_role(call, token.role, call->principal);
    }
    if (call->is_local) {
        call->principal = "owner";
        return true;
    }
    if (!config->token_required)
        return true;
    api_reply_header(call, "WWW-Authenticate", "Bearer realm=\"pawl\"");
    api_fail(call, ERROR_UNAUTHORIZED, "A token is needed: send Authorization: Bearer TOKEN ('pawl token create' "
             "makes one)");
    return false;
}
