#include "auth/auth_gate.h"

#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include <gnutls/gnutls.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

enum { WAYS = 8, SETS = AUTH_LIMIT_PEERS / WAYS };

/* A bucket as a time: each failure adds AUTH_LIMIT_MS to debt_until_ms, which time itself pays off. */
struct peer {
    unsigned char address[AUTH_PEER_LEN];
    int64_t debt_until_ms;          /* clock_boot_ms; 0: unused */
};

struct auth_gate {
    char *data_dir;
    char *path;
    pthread_mutex_t lock;
    struct auth_tokens tokens;
    struct stat seen;               /* of the file the tokens are from; zero: there is none */
    int64_t checked_ms;
    bool failed;                    /* the file could not be read; said once */
    struct peer peers[SETS][WAYS];
};

struct auth_gate *auth_gate_new(const char *data_dir)
{
    struct auth_gate *gate = mem_new(struct auth_gate);
    gate->data_dir = mem_strdup(data_dir);
    gate->path = mem_printf("%s/tokens", data_dir);
    gate->checked_ms = -1;
    (void)pthread_mutex_init(&gate->lock, NULL);
    return gate;
}

void auth_gate_free(struct auth_gate *gate)
{
    if (!gate)
        return;
    auth_tokens_fini(&gate->tokens);
    (void)pthread_mutex_destroy(&gate->lock);
    mem_free(gate->path);
    mem_free(gate->data_dir);
    mem_free(gate);
}

/* Each version of the file is an inode of its own while the former one is still there; times tell the rest. */
static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size
           && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec
           && a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Looked at before it is read: what changes in between is met by the next look. With the lock. */
static void look(struct auth_gate *gate, int64_t boot_ms)
{
    struct stat now = {0};
    struct auth_tokens fresh = {0};
    struct error err;
    if (stat(gate->path, &now) != 0)
        now = (struct stat){0};
    bool first = gate->checked_ms < 0;
    gate->checked_ms = boot_ms;
    if (!first && !gate->failed && is_same_file(&now, &gate->seen))
        return;
    int rc = auth_tokens_read(gate->data_dir, &fresh, &err);
    if (rc && !gate->failed)
        log_error("no token is accepted until this is put right: %s", err.text);
    gate->failed = rc != 0;
    gate->seen = now;
    auth_tokens_fini(&gate->tokens);
    gate->tokens = fresh;
}

/* All are compared in full, so that the time says nothing about where a match is or how far it goes. */
static const struct auth_token *find(const struct auth_gate *gate, const unsigned char *hash)
{
    const struct auth_token *found = NULL;
    for (size_t i = 0; i < gate->tokens.count; i++)
        if (gnutls_memcmp(gate->tokens.items[i].hash, hash, AUTH_HASH_LEN) == 0)
            found = &gate->tokens.items[i];
    return found;
}

enum auth_verdict auth_gate_find(struct auth_gate *gate, const char *text, int64_t wall_ms, int64_t boot_ms,
                                 struct auth_token *ret_token)
{
    unsigned char hash[AUTH_HASH_LEN];
    enum auth_verdict verdict = AUTH_UNKNOWN;
    auth_hash(text, hash);
    (void)pthread_mutex_lock(&gate->lock);
    bool looked = gate->checked_ms < 0 || boot_ms - gate->checked_ms >= AUTH_GATE_CHECK_MS;
    if (looked)
        look(gate, boot_ms);
    const struct auth_token *token = find(gate, hash);
    if (!token && !looked) {
        look(gate, boot_ms);
        token = find(gate, hash);
    }
    if (token) {
        *ret_token = *token;
        verdict = auth_is_expired(token, wall_ms) ? AUTH_EXPIRED : AUTH_KNOWN;
    }
    (void)pthread_mutex_unlock(&gate->lock);
    return verdict;
}

size_t auth_gate_count(struct auth_gate *gate)
{
    (void)pthread_mutex_lock(&gate->lock);
    if (gate->checked_ms < 0)
        look(gate, 0);
    size_t count = gate->tokens.count;
    (void)pthread_mutex_unlock(&gate->lock);
    return count;
}

static bool is_ipv4(const unsigned char *address)
{
    static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(address, prefix, sizeof prefix) == 0;
}

/* The peer's place, which may have been that of another. */
static struct peer *place_of(struct auth_gate *gate, const unsigned char *address)
{
    struct peer *set = gate->peers[map_hash_bytes(address, AUTH_PEER_LEN) % SETS];
    struct peer *oldest = set;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].debt_until_ms && memcmp(set[i].address, address, AUTH_PEER_LEN) == 0)
            return &set[i];
        if (set[i].debt_until_ms < oldest->debt_until_ms)
            oldest = &set[i];
    }
    *oldest = (struct peer){0};
    memcpy(oldest->address, address, AUTH_PEER_LEN);
    return oldest;
}

int64_t auth_gate_fail(struct auth_gate *gate, const unsigned char peer[AUTH_PEER_LEN], int64_t boot_ms)
{
    unsigned char address[AUTH_PEER_LEN] = {0};
    memcpy(address, peer, is_ipv4(peer) ? AUTH_PEER_LEN : 8);
    (void)pthread_mutex_lock(&gate->lock);
    struct peer *place = place_of(gate, address);
    int64_t debt_ms = place->debt_until_ms > boot_ms ? place->debt_until_ms - boot_ms : 0;
    int64_t over_ms = debt_ms + AUTH_LIMIT_MS - (int64_t)AUTH_LIMIT_BURST * AUTH_LIMIT_MS;
    if (over_ms <= 0) {
        place->debt_until_ms = boot_ms + debt_ms + AUTH_LIMIT_MS;
        over_ms = 0;
    }
    (void)pthread_mutex_unlock(&gate->lock);
    return over_ms;
}
