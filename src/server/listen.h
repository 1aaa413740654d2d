/* Who may be talked to: which address, and what is asked of those who come (product.md's rules, in one place).
 *
 *     loopback       tokens when require-token says so; TLS when tls-cert does
 *     elsewhere      tokens unless allow-anonymous, TLS unless allow-plain-http; both exceptions are logged */
#ifndef PAWL_SERVER_LISTEN_H
#define PAWL_SERVER_LISTEN_H

#include "server/address.h"
#include "server/server.h"

struct server_listen {
    bool is_loopback;
    bool token_required;
    char *tls_cert;             /* PEM; NULL: plain HTTP */
    char *tls_key;
    char pin[SERVER_PIN_LEN + 1]; /* SHA-256 of the certificate, in hexadecimal; "" */
};

/* Checks what the options say together, and reads certificate and key. ERROR_VALIDATION_ERROR when they do not fit, in
 * words that say what to set. */
int server_listen_check(const struct server_options *options, struct server_listen *ret_listen, struct error *err);
/* The files again: ret_fresh is `listen` with what is in them now, ret_changed whether that is another pair; else, and
 * with ERROR_VALIDATION_ERROR, ret_fresh stays as it was. An error is also that TLS would come or go. */
int server_listen_renew(const struct server_options *options, const struct server_listen *listen,
                        struct server_listen *ret_fresh, bool *ret_changed, struct error *err);
void server_listen_fini(struct server_listen *listen);
/* Says once what is open to whom. url as people reach it; token_count of DATA/tokens. */
void server_listen_log(const struct server_listen *listen, const char *url, size_t token_count);

#endif
