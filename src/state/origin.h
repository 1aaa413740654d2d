/* What a run came from: the request that made it, and the trace (W3C Trace Context, level 1) that the request was part
 * of. Immutable and counted; shared by the engine and whatever its effects are for. */
#ifndef PAWL_STATE_ORIGIN_H
#define PAWL_STATE_ORIGIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"

enum {
    ORIGIN_TRACEPARENT_LEN = 55,    /* 00-TRACE-SPAN-FLAGS */
    ORIGIN_TRACE_ID_LEN = 32,
    ORIGIN_TRACESTATE_MAX = 512,
    ORIGIN_TRACE_MAX = ORIGIN_TRACEPARENT_LEN + 1 + ORIGIN_TRACESTATE_MAX
};

struct origin {
    atomic_uint refs;
    char *request_id;               /* NULL: no request, or before it was kept */
    char *tracestate;               /* NULL: none */
    char trace_id[ORIGIN_TRACE_ID_LEN + 1]; /* "" without a trace */
    char flags[3];
};

/* Both headers in one text, as runs are stored with it: "TRACEPARENT" or "TRACEPARENT TRACESTATE". A traceparent that
 * is not well formed counts as none (false), and so does a tracestate that is not, or is too long: that is what the
 * standard asks for. */
bool origin_write_trace(const char *traceparent, const char *tracestate, char ret_trace[ORIGIN_TRACE_MAX + 1]);

/* `trace` as written by that; NULL: none. NULL when there is neither. */
struct origin *origin_new(const char *request_id, const char *trace);
struct origin *origin_ref(struct origin *origin);   /* NULL gives NULL */
void origin_unref(struct origin *origin);

/* The traceparent of one attempt: a span of its own in the run's trace, the same whenever it is asked for. False
 * without a trace. */
bool origin_attempt(const struct origin *origin, struct uuid run_id, uint64_t fence,
                    char ret_traceparent[ORIGIN_TRACEPARENT_LEN + 1]);

#endif
