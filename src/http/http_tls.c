/* The certificate that TLS connections are greeted with, and its successors.
 *
 * libmicrohttpd takes one at its start and has no way to take another; what it does have is a question at each
 * handshake. Connections that are open have put theirs behind them. A handshake on another thread may still use the one
 * before, so a pair is kept until the server ends: a few KiB for each renewal. */
#include "http/http_exchange.h"

#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/mem.h"

enum { CHAIN_MAX = 16 };

struct http_tls {
    struct http_tls *older;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned count;
    gnutls_privkey_t key;
};

static void free_pair(struct http_tls *pair)
{
    for (unsigned i = 0; i < pair->count; i++)
        gnutls_pcert_deinit(&pair->chain[i]);
    if (pair->key)
        gnutls_privkey_deinit(pair->key);
    mem_free(pair);
}

static int load(struct http_tls *pair, const char *cert, const char *key)
{
    const gnutls_datum_t cert_text = {(unsigned char *)(uintptr_t)cert, (unsigned)strlen(cert)};
    const gnutls_datum_t key_text = {(unsigned char *)(uintptr_t)key, (unsigned)strlen(key)};
    gnutls_x509_crt_t parsed[CHAIN_MAX];
    unsigned count = CHAIN_MAX;
    int rc = gnutls_x509_crt_list_import(parsed, &count, &cert_text, GNUTLS_X509_FMT_PEM,
                                         GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    if (rc < 0)
        return rc;
    unsigned parsed_count = (unsigned)rc;
    for (rc = 0; rc == 0 && pair->count < parsed_count; pair->count += rc == 0)
        rc = gnutls_pcert_import_x509(&pair->chain[pair->count], parsed[pair->count], 0);
    for (unsigned i = 0; i < parsed_count; i++)
        gnutls_x509_crt_deinit(parsed[i]);
    if (rc == 0)
        rc = gnutls_privkey_init(&pair->key);
    return rc ? rc : gnutls_privkey_import_x509_raw(pair->key, &key_text, GNUTLS_X509_FMT_PEM, NULL, 0);
}

int http_set_tls(struct http_server *server, const char *cert, const char *key, struct error *err)
{
    struct http_tls *pair = mem_new(struct http_tls);
    int rc = load(pair, cert, key);
    if (rc < 0) {
        free_pair(pair);
        return error_set(err, ERROR_VALIDATION_ERROR, "the certificate cannot be used: %s", gnutls_strerror(rc));
    }
    pair->older = atomic_load(&server->tls);
    atomic_store(&server->tls, pair);
    return 0;
}

/* libmicrohttpd gives the session its connection as pointer, as its own callbacks for keys expect it. */
int http_tls_choose(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
                    const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **ret_chain,
                    unsigned *ret_count, gnutls_privkey_t *ret_key)
{
    (void)authorities, (void)authority_count, (void)algorithms, (void)algorithm_count;
    struct MHD_Connection *mhd = gnutls_session_get_ptr(session);
    const union MHD_ConnectionInfo *info =
        mhd ? MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT) : NULL;
    if (!info || !info->socket_context)
        return -1;
    const struct http_connection *connection = info->socket_context;
    struct http_tls *pair = atomic_load(&connection->server->tls);
    *ret_chain = pair->chain;
    *ret_count = pair->count;
    *ret_key = pair->key;
    return 0;
}

void http_tls_fini(struct http_server *server)
{
    struct http_tls *older;
    for (struct http_tls *pair = atomic_load(&server->tls); pair; pair = older) {
        older = pair->older;
        free_pair(pair);
    }
    atomic_store(&server->tls, NULL);
}
