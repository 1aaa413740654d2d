/* Events as readers get them: a bounded ring of finished texts (WHATWG HTML, section 9.2), each made once and shared
 * by all readers, and a place in it per reader. One thread adds; readers are HTTP streams on server threads.
 *
 * An event's id is START-NUMBER: START tells this ring from one of a former daemon, numbers grow by one. A reader
 * costs a few words, however far it is behind: when the ring has gone over an event that it has not read, it is
 * dropped, and its next request gets `reset` because the id it names is no longer here. */
#ifndef PAWL_API_API_EVENT_RING_H
#define PAWL_API_API_EVENT_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"
#include "http/http.h"

enum {
    API_EVENT_RING_BYTES_MAX = 8 * 1024 * 1024, /* texts kept, besides the limit on their number */
};

struct api_event_ring;
struct api_event_reader;

/* start_ms: what ids begin with. events_max: how many are kept. Nothing is allocated for them before the first. */
struct api_event_ring *api_event_ring_new(int64_t start_ms, size_t events_max);
void api_event_ring_free(struct api_event_ring *ring); /* without readers; NULL is allowed */

/* The adding thread. data: JSON without line breaks. run_id: zero when it concerns no run. ends_run: streams of that
 * run alone are over when they have sent it. */
void api_event_ring_add(struct api_event_ring *ring, const char *name, struct uuid run_id, bool ends_run,
                        const char *data, size_t len);
/* Something is missing from here on: everybody is told to read anew. */
void api_event_ring_add_reset(struct api_event_ring *ring);
/* Something of other nodes' runs is missing: a `reset` among the events of all, and streams of those runs end. What is
 * kept stays, so that who comes back meets the reset too. */
void api_event_ring_add_gap(struct api_event_ring *ring);
/* Another node drives the run from now on: streams of it end. */
void api_event_ring_end_run(struct api_event_ring *ring, struct uuid run_id);
/* Wakes who was up to date before the last events were added. */
void api_event_ring_wake(struct api_event_ring *ring);
/* Readers with nothing else to send send a comment, so that both ends notice a dead connection. */
void api_event_ring_beat(struct api_event_ring *ring);
/* Drops all events; no id given so far can be resumed. */
void api_event_ring_forget(struct api_event_ring *ring);
size_t api_event_ring_reader_count(struct api_event_ring *ring); /* any thread */
size_t api_event_ring_far_count(struct api_event_ring *ring);    /* of these: of all runs, or of one of another node */

enum api_event_start {
    API_EVENT_FRESH,    /* no id: from now on */
    API_EVENT_RESUMED,  /* what followed the id comes first */
    API_EVENT_MISSED    /* the id is too old or another daemon's: a reset comes first */
};

/* A server thread. Registers a reader, of all events or of one run's. last_id: NULL if the client has none. */
struct api_event_reader *api_event_reader_new(struct api_event_ring *ring, const struct uuid *run_id,
                                              const char *last_id, enum api_event_start *ret_start);
/* The following are for a reader that is not attached yet. */
void api_event_reader_set_far(struct api_event_reader *reader); /* its run is another node's */
void api_event_reader_free(struct api_event_reader *reader);
bool api_event_reader_has_more(struct api_event_reader *reader);
/* An event for this reader alone, before all others, under the id where it starts. ends: nothing follows it. */
void api_event_reader_put(struct api_event_reader *reader, const char *name, const char *data, size_t len, bool ends);
/* Replies with the stream, which owns the reader from here on. */
void api_event_reader_attach(struct api_event_reader *take_reader, struct http_request *request);

#endif
