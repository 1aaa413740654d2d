/* Logs that are read while they grow: followers, each one stream of one attempt's log.
 *
 * Growth is seen by looking: one thread compares the size of each followed file with what was sent, every
 * FOLLOW_CHECK_MS, and only while there are followers. Not inotify: its instances and watches are few and shared by
 * all of a user's programs, the run's folder and the file appear only with the first byte, and a busy log would wake
 * us for every line. The end of an attempt comes from the engine's batches, at once. */
#ifndef PAWL_API_API_FOLLOW_H
#define PAWL_API_API_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "http/http.h"
#include "state/record.h"

struct api;
struct api_follow;
struct api_follower;

struct api_follow *api_follow_new(struct api *api);
void api_follow_stop(struct api_follow *follow); /* before the streams are closed */
void api_follow_free(struct api_follow *follow); /* after; NULL is allowed */
struct api_follow *api_events_follow(struct api *api);

/* The engine's thread, after each durable batch: attempts that ended in it. */
void api_follow_publish(struct api_follow *follow, const struct batch *batch);

/* A server thread. Follows one attempt's log from `offset` on, for at most `max` bytes; the file need not exist yet.
 * Takes `path`. Once this returns, an end is noticed; one before it the caller finds out and says so by
 * api_follower_end. ERROR_STOPPING, ERROR_FULL. */
int api_follower_new(struct api_follow *follow, const struct record_attempt *attempt, char *take_path, uint64_t offset,
                     uint64_t max, struct api_follower **ret_follower, struct error *err);
/* Before api_follower_attach: another node runs the attempt, by this worker; its node is asked for the log, and the
 * attempt's row tells when it has ended. */
void api_follower_set_far(struct api_follower *follower, struct uuid worker);
void api_follower_end(struct api_follower *follower); /* what is in the file is all there will be */
/* Replies with the stream, which owns the follower from here on. */
void api_follower_attach(struct api_follower *take_follower, struct http_request *request, const char *content_type);

#endif
