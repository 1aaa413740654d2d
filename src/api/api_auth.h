/* Who asks, and whether that is enough. */
#ifndef PAWL_API_API_AUTH_H
#define PAWL_API_API_AUTH_H

#include <stdbool.h>

struct api_call;

/* Fills call->principal and call->is_local. false: it was answered, 401, 403 or 429.
 *
 *     Authorization: Bearer   decides when it is sent, also where no token is needed
 *     X-Pawl-Owner            the daemon's owner on its machine: admin (server/address.h)
 *     neither                 admin where no token is needed, else nobody */
bool api_auth_check(struct api_call *call);

#endif
