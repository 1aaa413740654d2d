#include "auth/auth.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

static const char *const role_names[] = {NULL, "viewer", "operator", "admin"};
static_assert(sizeof role_names / sizeof *role_names == AUTH_ROLE_COUNT, "one name per role");

enum { LINE_MAX_BYTES = 300, FILE_MAX_BYTES = AUTH_TOKENS_MAX * LINE_MAX_BYTES };

const char *auth_role_name(enum auth_role role)
{
    return role_names[role];
}

bool auth_role_parse(const char *text, enum auth_role *ret_role)
{
    for (int role = AUTH_ROLE_VIEWER; role < AUTH_ROLE_COUNT; role++) {
        if (strcmp(role_names[role], text) == 0) {
            *ret_role = (enum auth_role)role;
            return true;
        }
    }
    return false;
}

bool auth_name_valid(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@+";
    size_t len = strlen(name);
    return len >= 1 && len <= AUTH_NAME_MAX && strspn(name, allowed) == len && strcmp(name, "owner") != 0
           && strcmp(name, "anonymous") != 0;
}

void auth_hash(const char *text, unsigned char hash[AUTH_HASH_LEN])
{
    int rc = gnutls_hash_fast(GNUTLS_DIG_SHA256, text, strlen(text), hash);
    assert(rc == 0); /* memory in, memory out: only a library without SHA-256 refuses */
    (void)rc;
}

bool auth_is_expired(const struct auth_token *token, int64_t now_ms)
{
    return token->expires_ms != 0 && now_ms >= token->expires_ms;
}

void auth_tokens_fini(struct auth_tokens *tokens)
{
    mem_free(tokens->items);
    *tokens = (struct auth_tokens){0};
}

static void put_hex(const unsigned char *bytes, size_t count, char *out)
{
    for (size_t i = 0; i < count; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static bool take_hex(const char *text, unsigned char *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    if (strlen(text) != 2 * count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const char *high = strchr(digits, text[2 * i]), *low = strchr(digits, text[2 * i + 1]);
        if (!high || !low)
            return false;
        bytes[i] = (unsigned char)((high - digits) << 4 | (low - digits));
    }
    return true;
}

static bool parse_line(char *line, struct auth_token *token)
{
    enum { FIELDS = 6 };
    char *fields[FIELDS];
    unsigned char id[AUTH_ID_LEN / 2];
    for (int i = 0; i < FIELDS; i++)
        fields[i] = strsep(&line, " ");
    if (!fields[FIELDS - 1] || line || !take_hex(fields[0], id, sizeof id) || !auth_role_parse(fields[1], &token->role)
        || !str_parse_int(fields[2], 0, INT64_MAX, &token->created_ms)
        || !str_parse_int(fields[3], 0, INT64_MAX, &token->expires_ms)
        || !take_hex(fields[4], token->hash, AUTH_HASH_LEN) || !auth_name_valid(fields[5]))
        return false;
    memcpy(token->id, fields[0], AUTH_ID_LEN + 1);
    memcpy(token->name, fields[5], strlen(fields[5]) + 1);
    return true;
}

static int parse_file(char *text, const char *path, struct auth_tokens *tokens, struct error *err)
{
    size_t cap = 0, number = 1;
    for (char *line = strsep(&text, "\n"); line; line = strsep(&text, "\n"), number++) {
        if (!line[0] && !text)
            break;
        tokens->items = mem_grow(tokens->items, &cap, tokens->count + 1, sizeof *tokens->items);
        tokens->items[tokens->count] = (struct auth_token){0};
        if (!parse_line(line, &tokens->items[tokens->count++]))
            return error_set(err, ERROR_BAD_REQUEST, "%s, line %zu: this is no token's line", path, number);
    }
    return 0;
}

static int read_file(int fd, const char *path, struct buf *text, struct error *err)
{
    ssize_t got;
    do {
        size_t len = text->len;
        got = read(fd, buf_extend(text, 16384), 16384);
        text->len = len + (got > 0 ? (size_t)got : 0);
        if (text->len > FILE_MAX_BYTES)
            return error_set(err, ERROR_BAD_REQUEST, "%s is too large for a file of tokens", path);
    } while (got > 0 || (got < 0 && errno == EINTR));
    return got < 0 ? error_set(err, ERROR_IO, "%s cannot be read: %s", path, strerror(errno)) : 0;
}

int auth_tokens_read(const char *data_dir, struct auth_tokens *ret_tokens, struct error *err)
{
    struct auth_tokens tokens = {0};
    struct buf text = BUF_INIT;
    char *path = mem_printf("%s/tokens", data_dir);
    int rc = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
    if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
        rc = error_set(err, ERROR_IO, "%s cannot be opened: %s", path, strerror(errno));
    if (fd >= 0)
        rc = read_file(fd, path, &text, err);
    if (!rc && text.len && memchr(text.bytes, '\0', text.len))
        rc = error_set(err, ERROR_BAD_REQUEST, "%s holds a NUL byte", path);
    if (!rc && text.len)
        rc = parse_file(buf_text(&text), path, &tokens, err);
    if (fd >= 0)
        (void)close(fd);
    if (rc)
        auth_tokens_fini(&tokens);
    else
        *ret_tokens = tokens;
    buf_fini(&text);
    mem_free(path);
    return rc;
}

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, bytes, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        bytes += done;
        len -= (size_t)done;
    }
    return true;
}

/* The file as a whole: written beside, synced, renamed, the directory synced. With the lock. */
static int write_file(const char *data_dir, const struct auth_tokens *tokens, struct error *err)
{
    struct buf text = BUF_INIT;
    char hash[2 * AUTH_HASH_LEN + 1];
    char *path = mem_printf("%s/tokens", data_dir), *fresh = mem_printf("%s/tokens.new", data_dir);
    int rc = 0;
    for (size_t i = 0; i < tokens->count; i++) {
        const struct auth_token *token = &tokens->items[i];
        put_hex(token->hash, AUTH_HASH_LEN, hash);
        buf_printf(&text, "%s %s %" PRId64 " %" PRId64 " %s %s\n", token->id, auth_role_name(token->role),
                   token->created_ms, token->expires_ms, hash, token->name);
    }
    int dir = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = dir >= 0 && fd >= 0 && fchmod(fd, 0600) == 0 && write_all(fd, text.bytes, text.len) && fsync(fd) == 0;
    ok = ok && rename(fresh, path) == 0 && fsync(dir) == 0;
    if (!ok)
        rc = error_set(err, ERROR_IO, "%s cannot be written: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    if (dir >= 0)
        (void)close(dir);
    buf_fini(&text);
    mem_free(fresh);
    mem_free(path);
    return rc;
}

/* Waits for whoever changes the file now. The lock ends with the descriptor. */
static int take_lock(const char *data_dir, int *ret_fd, struct error *err)
{
    char *path = mem_printf("%s/tokens.lock", data_dir);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int rc = 0;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    while (fd >= 0 && fcntl(fd, F_OFD_SETLKW, &lock) != 0) {
        if (errno != EINTR) {
            int saved = errno;
            (void)close(fd);
            fd = -1;
            errno = saved;
        }
    }
    if (fd < 0)
        rc = error_set(err, ERROR_IO, "%s cannot be locked: %s", path, strerror(errno));
    else
        *ret_fd = fd;
    mem_free(path);
    return rc;
}

static size_t find(const struct auth_tokens *tokens, const char *which)
{
    size_t at = 0;
    while (at < tokens->count && strcmp(tokens->items[at].id, which) != 0
           && strcmp(tokens->items[at].name, which) != 0)
        at++;
    return at;
}

static int make_token(const struct auth_tokens *tokens, enum auth_role role, const char *name, int64_t lifetime_ms,
                      struct auth_token *token, char *ret_text, struct error *err)
{
    unsigned char random[32 + AUTH_ID_LEN / 2];
    *token = (struct auth_token){.role = role, .created_ms = clock_wall_ms()};
    token->expires_ms = lifetime_ms ? token->created_ms + lifetime_ms : 0;
    if (tokens->count >= AUTH_TOKENS_MAX)
        return error_set(err, ERROR_TOO_BIG, "there are %d tokens; revoke one first", AUTH_TOKENS_MAX);
    do {
        if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
            return error_set(err, ERROR_IO, "no random numbers: %s", strerror(errno));
        put_hex(random + 32, AUTH_ID_LEN / 2, token->id);
    } while (find(tokens, token->id) < tokens->count);
    if (name)
        (void)snprintf(token->name, sizeof token->name, "%s", name);
    else
        (void)snprintf(token->name, sizeof token->name, "%s-%s", auth_role_name(role), token->id);
    if (find(tokens, token->name) < tokens->count)
        return error_set(err, ERROR_USAGE, "there is a token named '%s' already; 'pawl token revoke %s' takes it away",
                         token->name, token->name);
    memcpy(ret_text, "pawl_", 5);
    put_hex(random, 32, ret_text + 5);
    explicit_bzero(random, sizeof random);
    auth_hash(ret_text, token->hash);
    return 0;
}

int auth_token_create(const char *data_dir, enum auth_role role, const char *name, int64_t lifetime_ms,
                      struct auth_token *ret_token, char ret_text[AUTH_TEXT_LEN + 1], struct error *err)
{
    struct auth_tokens tokens = {0};
    struct auth_token token;
    int lock = -1;
    if (name && !auth_name_valid(name))
        return error_set(err, ERROR_USAGE,
                         "'%.100s' cannot be a token's name: 1 to %d letters, digits and . _ - @ +, not 'owner' or "
                         "'anonymous'", name, AUTH_NAME_MAX);
    int rc = take_lock(data_dir, &lock, err);
    if (!rc)
        rc = auth_tokens_read(data_dir, &tokens, err);
    if (!rc)
        rc = make_token(&tokens, role, name, lifetime_ms, &token, ret_text, err);
    if (!rc) {
        tokens.items = mem_realloc_array(tokens.items, tokens.count + 1, sizeof *tokens.items);
        tokens.items[tokens.count++] = token;
        rc = write_file(data_dir, &tokens, err);
    }
    if (!rc)
        *ret_token = token;
    if (lock >= 0)
        (void)close(lock);
    auth_tokens_fini(&tokens);
    return rc;
}

int auth_token_revoke(const char *data_dir, const char *which, struct auth_token *ret_token, struct error *err)
{
    struct auth_tokens tokens = {0};
    int lock = -1;
    int rc = take_lock(data_dir, &lock, err);
    if (!rc)
        rc = auth_tokens_read(data_dir, &tokens, err);
    size_t at = rc ? 0 : find(&tokens, which);
    if (!rc && at == tokens.count)
        rc = error_set(err, ERROR_NOT_FOUND, "there is no token '%.100s'", which);
    if (!rc) {
        *ret_token = tokens.items[at];
        tokens.count--;
        memmove(tokens.items + at, tokens.items + at + 1, (tokens.count - at) * sizeof *tokens.items);
        rc = write_file(data_dir, &tokens, err);
    }
    if (lock >= 0)
        (void)close(lock);
    auth_tokens_fini(&tokens);
    return rc;
}
