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

static bool refuse_token(struct api_call *call, enum auth_verdict verdict, const struct auth_token *token)
{
    unsigned char peer[HTTP_PEER_LEN];
    char text[HTTP_PEER_TEXT_MAX], seconds[24];
    http_peer(call->request, peer, text);
    int64_t wait_ms = auth_gate_fail(call->api->config.gate, peer, clock_boot_ms());
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

bool api_auth_check(struct api_call *call)
{
    const struct api_config *config = &call->api->config;
    struct auth_token token;
    call->principal = "";
    if (call->offline)
        return true;
    const char *owner = config->owner_token ? http_header(call->request, "X-Pawl-Owner") : NULL;
    call->is_local = owner && is_same_secret(config->owner_token, owner);
    if (call->route->role == API_ROLE_NONE)
        return true;
    const char *bearer = config->gate ? bearer_of(call->request) : NULL;
    if (bearer) {
        enum auth_verdict verdict = auth_gate_find(config->gate, bearer, clock_wall_ms(), clock_boot_ms(), &token);
        if (verdict != AUTH_KNOWN)
            return refuse_token(call, verdict, &token);
        call->principal = arena_strdup(api_arena(call), token.name);
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
