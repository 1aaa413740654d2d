/* Who may do what: roles, tokens and the file they are kept in.
 *
 * A token is 32 random bytes, as text `pawl_` and 64 hexadecimal digits, shown once when it is made. DATA/tokens keeps
 * its SHA-256 only. A plain hash is enough here: what makes password hashes slow and salted is that passwords can be
 * guessed, and 256 random bits cannot.
 *
 * DATA/tokens is text, mode 0600, a token a line, replaced as a whole: `ID ROLE CREATED EXPIRES HASH NAME`. Whoever
 * changes it holds a lock on DATA/tokens.lock meanwhile; readers need none. It is changed and read with and without a
 * daemon on the directory. */
#ifndef PAWL_AUTH_AUTH_H
#define PAWL_AUTH_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* From less to more. */
enum auth_role { AUTH_ROLE_NONE, AUTH_ROLE_VIEWER, AUTH_ROLE_OPERATOR, AUTH_ROLE_ADMIN, AUTH_ROLE_COUNT };

enum {
    AUTH_TEXT_LEN = 5 + 64,     /* of a token */
    AUTH_HASH_LEN = 32,
    AUTH_ID_LEN = 8,
    AUTH_NAME_MAX = 100,
    AUTH_TOKENS_MAX = 1000,
};

struct auth_token {
    char id[AUTH_ID_LEN + 1];       /* hexadecimal; names the token in lists, says nothing about it */
    char name[AUTH_NAME_MAX + 1];   /* of whoever uses it: in the log and in idempotency keys; unique */
    enum auth_role role;
    int64_t created_ms;             /* wall time */
    int64_t expires_ms;             /* 0: never */
    unsigned char hash[AUTH_HASH_LEN];
};

struct auth_tokens {
    struct auth_token *items;       /* in the order they were made */
    size_t count;
};

const char *auth_role_name(enum auth_role role);    /* "viewer"; NULL for none */
bool auth_role_parse(const char *text, enum auth_role *ret_role);
/* Letters, digits and . _ - @ + and none of the names that are no token's: "owner", "anonymous". */
bool auth_name_valid(const char *name);
void auth_hash(const char *text, unsigned char hash[AUTH_HASH_LEN]);
bool auth_is_expired(const struct auth_token *token, int64_t now_ms);

/* No file: no tokens. ERROR_IO; ERROR_BAD_REQUEST when the file cannot be understood: nothing of it is used then. */
int auth_tokens_read(const char *data_dir, struct auth_tokens *ret_tokens, struct error *err);
void auth_tokens_fini(struct auth_tokens *tokens);

/* Makes a token; it is on disk when this returns. name NULL: one is made from role and id. lifetime_ms 0: for ever.
 * ret_text gets the token itself. ERROR_USAGE for a name that is taken or not valid, ERROR_TOO_BIG, ERROR_IO. */
int auth_token_create(const char *data_dir, enum auth_role role, const char *name, int64_t lifetime_ms,
                      struct auth_token *ret_token, char ret_text[AUTH_TEXT_LEN + 1], struct error *err);
/* Takes the token of this id or name away. ERROR_NOT_FOUND. A daemon on the directory refuses it within a second. */
int auth_token_revoke(const char *data_dir, const char *which, struct auth_token *ret_token, struct error *err);

#endif
