/* The daemon's side of tokens: whose one is, and how often somebody may be wrong. Thread-safe.
 *
 * DATA/tokens is looked at when a token is not known, and otherwise at most once a second: a new token works at once, a
 * revoked one at most a second longer. A file that cannot be read or understood makes all tokens unknown. */
#ifndef PAWL_AUTH_AUTH_GATE_H
#define PAWL_AUTH_AUTH_GATE_H

#include <stdint.h>

#include "auth/auth.h"

enum auth_verdict { AUTH_KNOWN, AUTH_UNKNOWN, AUTH_EXPIRED };

enum {
    AUTH_GATE_CHECK_MS = 1000,
    AUTH_LIMIT_BURST = 10,          /* wrong tokens from one peer, at once */
    AUTH_LIMIT_MS = 6000,           /* then one more each so long */
    AUTH_LIMIT_PEERS = 4096,        /* peers kept; of those that fall together the one quiet the longest is forgotten */
    AUTH_PEER_LEN = 16,
};

struct auth_gate;
struct auth_gate *auth_gate_new(const char *data_dir);
void auth_gate_free(struct auth_gate *gate); /* NULL is allowed */
/* Whose token `text` is. wall_ms decides whether it has expired, boot_ms when the file is looked at. */
enum auth_verdict auth_gate_find(struct auth_gate *gate, const char *text, int64_t wall_ms, int64_t boot_ms,
                                 struct auth_token *ret_token);
/* How many tokens there are; for the log at the start. */
size_t auth_gate_count(struct auth_gate *gate);

/* Counts a wrong token of a peer (an IPv6 address; IPv4 mapped. Of an IPv6 address only the first 64 bits count, since
 * whoever has one has all of them). 0: below the limit; else after how many ms the next one is below it again. */
int64_t auth_gate_fail(struct auth_gate *gate, const unsigned char peer[AUTH_PEER_LEN], int64_t boot_ms);

#endif
