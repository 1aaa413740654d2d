/* TLS on a connected socket, by GnuTLS, which is opened when the first https address is met: linking it would cost
 * every command that needs none. TLS 1.2 and 1.3. Blocks never: what would have to wait says so. */
#ifndef PAWL_CLIENT_TLS_H
#define PAWL_CLIENT_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct client_tls;

enum { CLIENT_TLS_PIN_LEN = 64 };

/* Whose word counts for the server's certificate. */
struct client_trust {
    const char *ca_file;    /* PEM; only what these vouch for. NULL: what the system trusts */
    const char *pin;        /* SHA-256 of the certificate in hexadecimal: this one and no other, whatever its name and
                               whoever vouches for it. NULL: none */
};

enum client_tls_step { CLIENT_TLS_DONE, CLIENT_TLS_WANTS_READ, CLIENT_TLS_WANTS_WRITE, CLIENT_TLS_FAILED };

/* fd is borrowed and non-blocking. ERROR_IO without a library, ERROR_VALIDATION_ERROR for a CA file that cannot be
 * used. */
int client_tls_new(int fd, const char *host, const struct client_trust *trust, struct client_tls **ret_tls,
                   struct error *err);
void client_tls_free(struct client_tls *tls); /* says goodbye if it can at once; NULL is allowed */

/* Until it is DONE; FAILED with words, of which "certificate" are those about trust. */
enum client_tls_step client_tls_shake_hands(struct client_tls *tls, struct error *err);
/* Bytes taken, 0 at the end, -1 with *ret_step: WANTS_READ, WANTS_WRITE, or FAILED and words. */
ssize_t client_tls_send(struct client_tls *tls, const char *bytes, size_t len, enum client_tls_step *ret_step,
                        struct error *err);
ssize_t client_tls_receive(struct client_tls *tls, char *bytes, size_t len, enum client_tls_step *ret_step,
                           struct error *err);
/* There are bytes to receive that the socket does not show. */
bool client_tls_has_more(const struct client_tls *tls);

#endif
