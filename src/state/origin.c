#include "state/origin.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

enum { TRACE_AT = 3, SPAN_AT = 36, FLAGS_AT = 53, SPAN_LEN = 16, MEMBERS_MAX = 32 };

static bool is_hex(const char *text, size_t len)
{
    return strspn(text, "0123456789abcdef") >= len;
}

static bool is_zero(const char *text, size_t len)
{
    return strspn(text, "0") >= len;
}

/* A later version may have more behind the flags, after another dash. */
static bool is_traceparent(const char *text)
{
    size_t len = strlen(text);
    if (len < ORIGIN_TRACEPARENT_LEN || text[2] != '-' || text[35] != '-' || text[52] != '-')
        return false;
    if (!is_hex(text, 2) || !is_hex(text + TRACE_AT, ORIGIN_TRACE_ID_LEN) || !is_hex(text + SPAN_AT, SPAN_LEN) ||
        !is_hex(text + FLAGS_AT, 2))
        return false;
    if (is_zero(text + TRACE_AT, ORIGIN_TRACE_ID_LEN) || is_zero(text + SPAN_AT, SPAN_LEN))
        return false;
    if (strncmp(text, "ff", 2) == 0)
        return false;
    return strncmp(text, "00", 2) == 0 ? len == ORIGIN_TRACEPARENT_LEN
                                       : len == ORIGIN_TRACEPARENT_LEN || text[ORIGIN_TRACEPARENT_LEN] == '-';
}

static bool is_tracestate(const char *text)
{
    size_t members = 1;
    for (const char *at = text; *at; at++) {
        if (((unsigned char)*at < ' ' && *at != '\t') || (unsigned char)*at > '~')
            return false;
        members += *at == ',';
    }
    return text[0] && strchr(text, '=') && strlen(text) <= ORIGIN_TRACESTATE_MAX && members <= MEMBERS_MAX;
}

bool origin_write_trace(const char *traceparent, const char *tracestate, char ret_trace[ORIGIN_TRACE_MAX + 1])
{
    if (!traceparent || !is_traceparent(traceparent))
        return false;
    /* What we pass on is of the version that we know. */
    bool has_state = tracestate && is_tracestate(tracestate);
    (void)snprintf(ret_trace, ORIGIN_TRACE_MAX + 1, "00%.*s%s%s", ORIGIN_TRACEPARENT_LEN - 2, traceparent + 2,
                   has_state ? " " : "", has_state ? tracestate : "");
    return true;
}

struct origin *origin_new(const char *request_id, const char *trace)
{
    if (!request_id && !trace)
        return NULL;
    struct origin *origin = mem_new(struct origin);
    atomic_init(&origin->refs, 1);
    origin->request_id = mem_strdup(request_id);
    if (trace && strlen(trace) >= ORIGIN_TRACEPARENT_LEN) {
        memcpy(origin->trace_id, trace + TRACE_AT, ORIGIN_TRACE_ID_LEN);
        memcpy(origin->flags, trace + FLAGS_AT, 2);
        if (trace[ORIGIN_TRACEPARENT_LEN] == ' ')
            origin->tracestate = mem_strdup(trace + ORIGIN_TRACEPARENT_LEN + 1);
    }
    return origin;
}

struct origin *origin_ref(struct origin *origin)
{
    if (origin)
        (void)atomic_fetch_add(&origin->refs, 1);
    return origin;
}

void origin_unref(struct origin *origin)
{
    if (!origin || atomic_fetch_sub(&origin->refs, 1) != 1)
        return;
    mem_free(origin->request_id);
    mem_free(origin->tracestate);
    mem_free(origin);
}

bool origin_attempt(const struct origin *origin, struct uuid run_id, uint64_t fence,
                    char ret_traceparent[ORIGIN_TRACEPARENT_LEN + 1])
{
    unsigned char key[sizeof run_id.bytes + sizeof fence];
    if (!origin || !origin->trace_id[0])
        return false;
    memcpy(key, run_id.bytes, sizeof run_id.bytes);
    memcpy(key + sizeof run_id.bytes, &fence, sizeof fence);
    uint64_t span = map_hash_stable(key, sizeof key);
    (void)snprintf(ret_traceparent, ORIGIN_TRACEPARENT_LEN + 1, "00-%s-%016llx-%s", origin->trace_id,
                   (unsigned long long)(span ? span : 1), origin->flags);
    return true;
}
