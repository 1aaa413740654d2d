/* Who asks, and whether that is enough. */
#ifndef PAWL_API_API_AUTH_H
#define PAWL_API_API_AUTH_H

#include <stdbool.h>

#include "api/api_table.h"

struct api_call;

/* Fills call->principal and call->is_local. false: it was answered, 401, 403 or 429.
 *
 *     Authorization: Bearer   decides when it is sent, also where no token is needed
 *     X-Pawl-Owner            the daemon's owner on its machine: admin (server/address.h)
 *     Cookie                  the same token, as a session of the web UI holds it; counts without the header
 *     neither                 admin where no token is needed, else nobody
 *
 * Requests of foreign pages never come this far (http_guard), and browsers do not send the cookie with them. */
bool api_auth_check(struct api_call *call);

/* The same without refusing anybody; API_ROLE_NONE: nobody known. Fills call->principal. */
enum api_role api_auth_who(struct api_call *call);
/* Looks at a token that is not the request's own. false: it was answered, 401 or 429. */
bool api_auth_sign_in(struct api_call *call, const char *text, enum api_role *ret_role);

enum { API_AUTH_COOKIE_NAME_MAX = 16 };
void api_auth_cookie_name(const struct api_call *call, char ret_name[API_AUTH_COOKIE_NAME_MAX]);

#endif
