#include "client/tls.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/mem.h"

/* The name carries the ABI: what the header says holds for every library of that name. */
#define LIBRARY "libgnutls.so.30"

#define FUNCTIONS(each)                     \
    each(alert_get)                         \
    each(alert_get_name)                    \
    each(bye)                               \
    each(certificate_allocate_credentials)  \
    each(certificate_free_credentials)      \
    each(certificate_get_peers)             \
    each(certificate_set_x509_system_trust) \
    each(certificate_set_x509_trust_file)   \
    each(certificate_verification_status_print) \
    each(credentials_set)                   \
    each(deinit)                            \
    each(fingerprint)                       \
    each(handshake)                         \
    each(init)                              \
    each(priority_set_direct)               \
    each(record_check_pending)              \
    each(record_get_direction)              \
    each(record_recv)                       \
    each(record_send)                       \
    each(server_name_set)                   \
    each(session_get_verify_cert_status)    \
    each(session_set_verify_cert)           \
    each(strerror)                          \
    each(transport_set_int2)

#define MEMBER(name) __typeof__(&gnutls_##name) name;
#define OFFSET(name) {"gnutls_" #name, offsetof(struct library, name)},

/* gnutls_free is a variable and transport_set_int a macro. */
struct library {
    void *handle;
    void (**free)(void *);
    FUNCTIONS(MEMBER)
};

static const struct {
    const char *name;
    size_t offset;
} functions[] = {FUNCTIONS(OFFSET)};

struct client_tls {
    struct library library;
    gnutls_certificate_credentials_t credentials;
    gnutls_session_t session;
    char host[256];
    char pin[CLIENT_TLS_PIN_LEN + 1];   /* "": by name and who vouches */
    bool open;                      /* the handshake is done */
};

static int open_library(struct library *library, struct error *err)
{
    library->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library->handle)
        return error_set(err, ERROR_IO, "https needs GnuTLS: %s", dlerror());
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *function = dlsym(library->handle, functions[i].name);
        if (!function)
            return error_set(err, ERROR_IO, "https needs a newer GnuTLS: %s", dlerror());
        /* POSIX gives functions as object pointers; both have one representation. */
        memcpy((char *)library + functions[i].offset, &function, sizeof function);
    }
    library->free = dlsym(library->handle, "gnutls_free");
    return library->free ? 0 : error_set(err, ERROR_IO, "https needs another GnuTLS: %s", dlerror());
}

static int set_trust(struct client_tls *tls, const struct client_trust *trust, struct error *err)
{
    struct library *library = &tls->library;
    if (trust->pin) {
        (void)snprintf(tls->pin, sizeof tls->pin, "%s", trust->pin);
        return 0;
    }
    int count = trust->ca_file ? library->certificate_set_x509_trust_file(tls->credentials, trust->ca_file,
                                                                           GNUTLS_X509_FMT_PEM)
                               : library->certificate_set_x509_system_trust(tls->credentials);
    if (trust->ca_file && count <= 0)
        return error_set(err, ERROR_VALIDATION_ERROR, "ca-file %s has no certificate that can be used: %s",
                         trust->ca_file, count < 0 ? library->strerror(count) : "there is none in it");
    library->session_set_verify_cert(tls->session, tls->host, 0);
    return 0;
}

static bool is_address(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static int set_up(struct client_tls *tls, int fd, const struct client_trust *trust, struct error *err)
{
    struct library *library = &tls->library;
    int rc = open_library(library, err);
    if (rc)
        return rc;
    int code = library->certificate_allocate_credentials(&tls->credentials);
    if (code == 0)
        code = library->init(&tls->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    if (code == 0)
        code = library->priority_set_direct(tls->session, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", NULL);
    if (code == 0)
        code = library->credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->credentials);
    if (code == 0 && !is_address(tls->host))
        code = library->server_name_set(tls->session, GNUTLS_NAME_DNS, tls->host, strlen(tls->host));
    if (code != 0)
        return error_set(err, ERROR_IO, "TLS cannot be set up: %s", library->strerror(code));
    library->transport_set_int2(tls->session, fd, fd);
    return set_trust(tls, trust, err);
}

int client_tls_new(int fd, const char *host, const struct client_trust *trust, struct client_tls **ret_tls,
                   struct error *err)
{
    struct client_tls *tls = mem_new(struct client_tls);
    (void)snprintf(tls->host, sizeof tls->host, "%s", host);
    int rc = set_up(tls, fd, trust, err);
    if (rc)
        client_tls_free(tls);
    else
        *ret_tls = tls;
    return rc;
}

void client_tls_free(struct client_tls *tls)
{
    if (!tls)
        return;
    if (tls->open)
        (void)tls->library.bye(tls->session, GNUTLS_SHUT_WR);
    if (tls->session)
        tls->library.deinit(tls->session);
    if (tls->credentials)
        tls->library.certificate_free_credentials(tls->credentials);
    if (tls->library.handle)
        (void)dlclose(tls->library.handle);
    mem_free(tls);
}

static enum client_tls_step wanted(const struct client_tls *tls)
{
    return tls->library.record_get_direction(tls->session) ? CLIENT_TLS_WANTS_WRITE : CLIENT_TLS_WANTS_READ;
}

static bool is_passing(int code)
{
    return code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED;
}

static void say_untrusted(struct client_tls *tls, struct error *err)
{
    gnutls_datum_t words = {0};
    unsigned status = tls->library.session_get_verify_cert_status(tls->session);
    int code = tls->library.certificate_verification_status_print(status, GNUTLS_CRT_X509, &words, 0);
    (void)error_set(err, ERROR_UNREACHABLE, "the server's certificate is not accepted: %s",
                    code == 0 && words.data ? (const char *)words.data : "it cannot be verified");
    if (words.data)
        (*tls->library.free)(words.data);
}

static void to_hex(const unsigned char *bytes, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static bool is_pinned(struct client_tls *tls)
{
    unsigned count = 0;
    unsigned char digest[CLIENT_TLS_PIN_LEN / 2];
    size_t len = sizeof digest;
    char text[CLIENT_TLS_PIN_LEN + 1];
    const gnutls_datum_t *peers = tls->library.certificate_get_peers(tls->session, &count);
    if (!peers || count == 0 || tls->library.fingerprint(GNUTLS_DIG_SHA256, &peers[0], digest, &len) != 0)
        return false;
    to_hex(digest, len, text);
    return strcmp(text, tls->pin) == 0;
}

enum client_tls_step client_tls_shake_hands(struct client_tls *tls, struct error *err)
{
    int code = tls->library.handshake(tls->session);
    if (code < 0 && (is_passing(code) || code == GNUTLS_E_WARNING_ALERT_RECEIVED))
        return wanted(tls);
    if (code == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) {
        say_untrusted(tls, err);
        return CLIENT_TLS_FAILED;
    }
    if (code == GNUTLS_E_FATAL_ALERT_RECEIVED) {
        const char *name = tls->library.alert_get_name(tls->library.alert_get(tls->session));
        (void)error_set(err, ERROR_UNREACHABLE, "the server refuses TLS: %s", name ? name : "no reason given");
        return CLIENT_TLS_FAILED;
    }
    if (code < 0) {
        (void)error_set(err, ERROR_UNREACHABLE, "no TLS there: %s", tls->library.strerror(code));
        return CLIENT_TLS_FAILED;
    }
    if (tls->pin[0] && !is_pinned(tls)) {
        (void)error_set(err, ERROR_UNREACHABLE, "the server's certificate is not accepted: it is not the daemon's");
        return CLIENT_TLS_FAILED;
    }
    tls->open = true;
    return CLIENT_TLS_DONE;
}

static ssize_t judge(struct client_tls *tls, ssize_t done, enum client_tls_step *ret_step, struct error *err)
{
    if (done >= 0)
        return done;
    if (is_passing((int)done)) {
        *ret_step = wanted(tls);
        return -1;
    }
    *ret_step = CLIENT_TLS_FAILED;
    tls->open = false;
    (void)error_set(err, ERROR_UNREACHABLE, "the connection to the server broke: %s",
                    tls->library.strerror((int)done));
    return -1;
}

ssize_t client_tls_send(struct client_tls *tls, const char *bytes, size_t len, enum client_tls_step *ret_step,
                        struct error *err)
{
    return judge(tls, tls->library.record_send(tls->session, bytes, len), ret_step, err);
}

ssize_t client_tls_receive(struct client_tls *tls, char *bytes, size_t len, enum client_tls_step *ret_step,
                           struct error *err)
{
    return judge(tls, tls->library.record_recv(tls->session, bytes, len), ret_step, err);
}

bool client_tls_has_more(const struct client_tls *tls)
{
    return tls->library.record_check_pending(tls->session) > 0;
}
