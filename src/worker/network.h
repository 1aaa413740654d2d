/* Which addresses belong to everybody, and which only to somebody: this machine, its neighbours, a private network, a
 * cloud's metadata. Numbers only: what a name stands for is known when a connection is about to be made, and that is
 * when it has to be asked. */
#ifndef PAWL_WORKER_NETWORK_H
#define PAWL_WORKER_NETWORK_H

#include <stdbool.h>
#include <sys/socket.h>

#include "worker/job.h"

/* Whether the address is that of one machine reachable through the internet. IPv6 forms that carry an IPv4 address
 * (mapped, NAT64, 6to4) count as that. Anything but IPv4 and IPv6 is not public. */
bool worker_network_is_public(const struct sockaddr *address);

/* "10.0.0.0/8", "fd00::/8"; without a length one address. False: none of both. */
bool worker_network_parse(const char *text, unsigned char ret_prefix[16], unsigned *ret_len);
/* Whether the address lies in one of the networks; an IPv4 network holds the mapped form too. */
bool worker_network_holds(const struct job_list *networks, const struct sockaddr *address);

#endif
