#include "server/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

enum { PEM_BYTES_MAX = 1024 * 1024 };

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24) == 127;
    return address->sa_family == AF_INET6
           && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

/* A name that stands for several addresses is loopback when all of them are. */
static int find_loopback(const char *host, bool *ret_loopback, struct error *err)
{
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int rc = getaddrinfo(host, NULL, &hints, &found);
    if (rc != 0)
        return error_set(err, ERROR_USAGE, "cannot listen on %s: %s", host, gai_strerror(rc));
    *ret_loopback = true;
    for (const struct addrinfo *at = found; at; at = at->ai_next)
        *ret_loopback = *ret_loopback && is_loopback(at->ai_addr);
    freeaddrinfo(found);
    return 0;
}

static int read_pem(const char *what, const char *path, bool is_secret, char **ret_text, struct error *err)
{
    struct buf text = BUF_INIT;
    struct stat status;
    int rc = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) != 0)
        rc = error_set(err, ERROR_VALIDATION_ERROR, "%s: %s cannot be opened: %s", what, path, strerror(errno));
    else if (status.st_size > PEM_BYTES_MAX)
        rc = error_set(err, ERROR_VALIDATION_ERROR, "%s: %s is too large for a PEM file", what, path);
    ssize_t got = 1;
    while (!rc && got > 0 && text.len <= PEM_BYTES_MAX) {
        size_t len = text.len;
        got = read(fd, buf_extend(&text, 16384), 16384);
        text.len = len + (got > 0 ? (size_t)got : 0);
        if (got < 0 && errno != EINTR)
            rc = error_set(err, ERROR_VALIDATION_ERROR, "%s: %s cannot be read: %s", what, path, strerror(errno));
        got = got < 0 ? 1 : got;
    }
    if (!rc && is_secret && (status.st_mode & (S_IRWXO | S_IWGRP)))
        rc = error_set(err, ERROR_VALIDATION_ERROR, "%s: others may read or change %s; chmod 600 it", what, path);
    if (fd >= 0)
        (void)close(fd);
    if (!rc)
        *ret_text = buf_take(&text);
    buf_fini(&text);
    return rc;
}

static int make_pin(gnutls_certificate_credentials_t credentials, char pin[SERVER_PIN_LEN + 1])
{
    gnutls_datum_t first;
    unsigned char digest[SERVER_PIN_LEN / 2];
    size_t len = sizeof digest;
    int rc = gnutls_certificate_get_crt_raw(credentials, 0, 0, &first);
    if (rc >= 0)
        rc = gnutls_fingerprint(GNUTLS_DIG_SHA256, &first, digest, &len);
    for (size_t i = 0; rc >= 0 && i < sizeof digest; i++)
        (void)snprintf(pin + 2 * i, 3, "%02x", digest[i]);
    return rc;
}

/* Asks the library, so that the words are about the files and not about a server that does not start. */
static int check_pair(const struct server_options *options, struct server_listen *listen, struct error *err)
{
    gnutls_certificate_credentials_t credentials;
    gnutls_datum_t cert = {(unsigned char *)listen->tls_cert, (unsigned)strlen(listen->tls_cert)};
    gnutls_datum_t key = {(unsigned char *)listen->tls_key, (unsigned)strlen(listen->tls_key)};
    int rc = gnutls_certificate_allocate_credentials(&credentials);
    if (rc == 0) {
        rc = gnutls_certificate_set_x509_key_mem(credentials, &cert, &key, GNUTLS_X509_FMT_PEM);
        if (rc >= 0)
            rc = make_pin(credentials, listen->pin);
        gnutls_certificate_free_credentials(credentials);
    }
    return rc < 0 ? error_set(err, ERROR_VALIDATION_ERROR, "tls-cert %s and tls-key %s cannot be used together: %s",
                              options->tls_cert, options->tls_key, gnutls_strerror(rc))
                  : 0;
}

static int read_tls(const struct server_options *options, struct server_listen *listen, struct error *err)
{
    if (!options->tls_cert && !options->tls_key)
        return 0;
    if (!options->tls_cert || !options->tls_key)
        return error_set(err, ERROR_VALIDATION_ERROR, "TLS needs both, tls-cert and tls-key");
    int rc = read_pem("tls-cert", options->tls_cert, false, &listen->tls_cert, err);
    if (!rc)
        rc = read_pem("tls-key", options->tls_key, true, &listen->tls_key, err);
    return rc ? rc : check_pair(options, listen, err);
}

static int check_rules(const struct server_options *options, const struct server_listen *listen, struct error *err)
{
    const char *host = options->listen_host;
    if (options->require_token && options->allow_anonymous)
        return error_set(err, ERROR_VALIDATION_ERROR, "require-token and allow-anonymous contradict each other");
    if (listen->is_loopback || listen->tls_cert || options->allow_plain_http)
        return 0;
    return error_set(err, ERROR_VALIDATION_ERROR,
                     "listening on %s needs TLS, since tokens and all that is asked would be readable on the way: set "
                     "tls-cert and tls-key, or allow-plain-http when a proxy in front or the network itself encrypts",
                     host);
}

int server_listen_check(const struct server_options *options, struct server_listen *ret_listen, struct error *err)
{
    struct server_listen listen = {0};
    int rc = find_loopback(options->listen_host, &listen.is_loopback, err);
    if (!rc)
        rc = read_tls(options, &listen, err);
    if (!rc)
        rc = check_rules(options, &listen, err);
    listen.token_required = options->require_token || (!listen.is_loopback && !options->allow_anonymous);
    if (rc)
        server_listen_fini(&listen);
    else
        *ret_listen = listen;
    return rc;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

int server_listen_renew(const struct server_options *options, const struct server_listen *listen,
                        struct server_listen *ret_fresh, bool *ret_changed, struct error *err)
{
    struct server_listen fresh = {.is_loopback = listen->is_loopback, .token_required = listen->token_required};
    int rc = read_tls(options, &fresh, err);
    if (!rc && !fresh.tls_cert != !listen->tls_cert)
        rc = error_set(err, ERROR_VALIDATION_ERROR, "TLS on or off takes a restart");
    *ret_changed = !rc && !(same_text(fresh.tls_cert, listen->tls_cert) && same_text(fresh.tls_key, listen->tls_key));
    if (*ret_changed)
        *ret_fresh = fresh;
    else
        server_listen_fini(&fresh);
    return rc;
}

void server_listen_fini(struct server_listen *listen)
{
    if (listen->tls_key)
        explicit_bzero(listen->tls_key, strlen(listen->tls_key));
    mem_free(listen->tls_key);
    mem_free(listen->tls_cert);
    *listen = (struct server_listen){0};
}

void server_listen_log(const struct server_listen *listen, const char *url, size_t token_count)
{
    if (!listen->token_required && listen->is_loopback)
        log_info("on %s without a token: whoever is on this machine may use it", url);
    else if (!listen->token_required)
        log_warn("on %s without a token (allow-anonymous): whoever can connect may run commands here", url);
    else if (token_count == 0)
        log_warn("on %s with tokens, and there is none yet: 'pawl token create' makes one", url);
    else
        log_info("on %s with tokens", url);
    if (!listen->is_loopback && !listen->tls_cert)
        log_warn("on %s without TLS (allow-plain-http): tokens are readable on the way unless a proxy encrypts", url);
}
