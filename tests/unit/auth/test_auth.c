#include "support/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/auth_gate.h"

static char folder[64];
static char path[100];
static struct error err;

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/pawl-auth-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/tokens", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[100];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* FIPS 180-4's example, so that the hash in the file is the one it is said to be. */
static void test_hash(void **state)
{
    (void)state;
    static const unsigned char expected[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea};
    unsigned char hash[AUTH_HASH_LEN];
    auth_hash("abc", hash);
    assert_memory_equal(hash, expected, sizeof expected);
}

static void test_create_and_read(void **state)
{
    (void)state;
    struct auth_token made, other;
    char text[AUTH_TEXT_LEN + 1], second[AUTH_TEXT_LEN + 1], bytes[2000] = "";
    assert_int_equal(auth_token_create(folder, AUTH_ROLE_OPERATOR, "ci", 0, &made, text, &err), 0);
    assert_int_equal(auth_token_create(folder, AUTH_ROLE_VIEWER, NULL, 5000, &other, second, &err), 0);
    assert_int_equal(strlen(text), AUTH_TEXT_LEN);
    assert_memory_equal(text, "pawl_", 5);
    assert_string_not_equal(text, second);
    assert_memory_equal(other.name, "viewer-", 7);
    assert_int_equal(other.expires_ms, other.created_ms + 5000);
    assert_false(auth_is_expired(&made, INT64_MAX));
    assert_false(auth_is_expired(&other, other.expires_ms - 1));
    assert_true(auth_is_expired(&other, other.expires_ms));

    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(bytes, 1, sizeof bytes - 1, file) > 100);
    (void)fclose(file);
    assert_null(strstr(bytes, text + 5)); /* at rest there is nothing to steal */
    assert_null(strstr(bytes, second + 5));

    struct auth_tokens tokens;
    assert_int_equal(auth_tokens_read(folder, &tokens, &err), 0);
    assert_int_equal(tokens.count, 2);
    assert_string_equal(tokens.items[0].name, "ci");
    assert_int_equal(tokens.items[0].role, AUTH_ROLE_OPERATOR);
    assert_memory_equal(tokens.items[1].hash, other.hash, AUTH_HASH_LEN);
    auth_tokens_fini(&tokens);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "owner", "anonymous", "a b", "a\nb", "\xc3\xa4", "a/b", "a\"b"};
    struct auth_token token;
    char text[AUTH_TEXT_LEN + 1], longest[AUTH_NAME_MAX + 2];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(auth_token_create(folder, AUTH_ROLE_ADMIN, bad[i], 0, &token, text, &err), ERROR_USAGE);
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(auth_token_create(folder, AUTH_ROLE_ADMIN, longest, 0, &token, text, &err), ERROR_USAGE);
    assert_int_equal(auth_token_create(folder, AUTH_ROLE_ADMIN, longest + 1, 0, &token, text, &err), 0);
    assert_int_equal(auth_token_create(folder, AUTH_ROLE_ADMIN, longest + 1, 0, &token, text, &err), ERROR_USAGE);
    /* a name that is another token's id would make 'revoke' ambiguous */
    struct auth_token other;
    assert_int_equal(auth_token_create(folder, AUTH_ROLE_ADMIN, token.id, 0, &other, text, &err), ERROR_USAGE);
}

static void test_revoke(void **state)
{
    (void)state;
    struct auth_token first, second, gone;
    char text[AUTH_TEXT_LEN + 1];
    assert_int_equal(auth_token_revoke(folder, "a", &gone, &err), ERROR_NOT_FOUND);
    assert_int_equal(auth_token_create(folder, AUTH_ROLE_ADMIN, "a", 0, &first, text, &err), 0);
    assert_int_equal(auth_token_create(folder, AUTH_ROLE_ADMIN, "b", 0, &second, text, &err), 0);
    assert_int_equal(auth_token_revoke(folder, first.id, &gone, &err), 0);
    assert_string_equal(gone.name, "a");
    assert_int_equal(auth_token_revoke(folder, "a", &gone, &err), ERROR_NOT_FOUND);
    assert_int_equal(auth_token_revoke(folder, "b", &gone, &err), 0);
}

static void test_broken_files(void **state)
{
    (void)state;
    static const char hash[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    static const struct {
        const char *format;
        int rc;
    } cases[] = {
        {"01234567 admin 1 0 %s ci\n", 0},
        {"01234567 admin 1 0 %s ci", 0},
        {"", 0},
        {"01234567 admin 1 0 %s ci\n\n01234568 admin 1 0 %s x\n", ERROR_BAD_REQUEST},
        {"01234567 root 1 0 %s ci\n", ERROR_BAD_REQUEST},
        {"0123456 admin 1 0 %s ci\n", ERROR_BAD_REQUEST},
        {"01234567 admin -1 0 %s ci\n", ERROR_BAD_REQUEST},
        {"01234567 admin 1 x %s ci\n", ERROR_BAD_REQUEST},
        {"01234567 admin 1 0 %sa ci\n", ERROR_BAD_REQUEST},
        {"01234567 admin 1 0 %s ci more\n", ERROR_BAD_REQUEST},
        {"01234567 admin 1 0 %s owner\n", ERROR_BAD_REQUEST},
        {"01234567 admin 1 0 %s\n", ERROR_BAD_REQUEST},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[500];
        struct auth_tokens tokens = {0};
        const char *at = strstr(cases[i].format, "%s");
        int before = at ? (int)(at - cases[i].format) : 0;
        (void)snprintf(text, sizeof text, "%.*s%s%s", before, cases[i].format, at ? hash : "", at ? at + 2 : "");
        write_file(text);
        assert_int_equal(auth_tokens_read(folder, &tokens, &err), cases[i].rc);
        auth_tokens_fini(&tokens);
    }
}

static void test_gate(void **state)
{
    (void)state;
    struct auth_token made, found, gone;
    char text[AUTH_TEXT_LEN + 1];
    struct auth_gate *gate = auth_gate_new(folder);
    assert_int_equal(auth_gate_find(gate, "pawl_x", 1, 1, &found), AUTH_UNKNOWN);
    /* A new one is known at once, in the same moment. */
    assert_int_equal(auth_token_create(folder, AUTH_ROLE_VIEWER, "v", 5000, &made, text, &err), 0);
    assert_int_equal(auth_gate_find(gate, text, made.created_ms, 1, &found), AUTH_KNOWN);
    assert_string_equal(found.name, "v");
    assert_int_equal(auth_gate_find(gate, text, made.expires_ms, 1, &found), AUTH_EXPIRED);
    /* A revoked one a second later. */
    assert_int_equal(auth_token_revoke(folder, "v", &gone, &err), 0);
    assert_int_equal(auth_gate_find(gate, text, made.created_ms, 1 + AUTH_GATE_CHECK_MS, &found), AUTH_UNKNOWN);
    assert_int_equal(auth_gate_count(gate), 0);
    auth_gate_free(gate);
}

/* What cannot be understood lets nobody in, and is looked at again. */
static void test_gate_broken_file(void **state)
{
    (void)state;
    struct auth_token made, found;
    char text[AUTH_TEXT_LEN + 1], good[1000] = "";
    struct auth_gate *gate = auth_gate_new(folder);
    assert_int_equal(auth_token_create(folder, AUTH_ROLE_VIEWER, "v", 0, &made, text, &err), 0);
    assert_int_equal(auth_gate_find(gate, text, 1, 1, &found), AUTH_KNOWN);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(good, 1, sizeof good - 1, file) > 0);
    (void)fclose(file);
    write_file("what is this\n");
    assert_int_equal(auth_gate_find(gate, text, 1, 2000, &found), AUTH_UNKNOWN);
    write_file(good);
    assert_int_equal(auth_gate_find(gate, text, 1, 2001, &found), AUTH_KNOWN);
    auth_gate_free(gate);
}

static void test_limit(void **state)
{
    (void)state;
    unsigned char four[AUTH_PEER_LEN] = {[10] = 0xff, 0xff, 10, 0, 0, 1}, other[AUTH_PEER_LEN];
    unsigned char six[AUTH_PEER_LEN] = {0x20};
    memcpy(other, four, sizeof other);
    other[15] = 2;
    struct auth_gate *gate = auth_gate_new(folder);
    for (int i = 0; i < AUTH_LIMIT_BURST; i++)
        assert_int_equal(auth_gate_fail(gate, four, 1000), 0);
    assert_int_equal(auth_gate_fail(gate, four, 1000), AUTH_LIMIT_MS);
    assert_int_equal(auth_gate_fail(gate, four, 1000 + AUTH_LIMIT_MS - 1), 1);
    assert_int_equal(auth_gate_fail(gate, other, 1000), 0);
    assert_int_equal(auth_gate_fail(gate, four, 1000 + AUTH_LIMIT_MS), 0);
    assert_int_equal(auth_gate_fail(gate, four, 1000 + AUTH_LIMIT_MS), AUTH_LIMIT_MS);
    /* of IPv6 the network counts */
    for (int i = 0; i < AUTH_LIMIT_BURST; i++) {
        six[15] = (unsigned char)i;
        assert_int_equal(auth_gate_fail(gate, six, 1000), 0);
    }
    assert_true(auth_gate_fail(gate, six, 1000) > 0);
    /* however many come, there is a place for each */
    for (uint32_t i = 0; i < 4 * AUTH_LIMIT_PEERS; i++) {
        other[12] = 192;
        other[13] = (unsigned char)(i >> 16);
        other[14] = (unsigned char)(i >> 8);
        other[15] = (unsigned char)i;
        assert_int_equal(auth_gate_fail(gate, other, 1000), 0);
    }
    auth_gate_free(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash),
        cmocka_unit_test_setup_teardown(test_create_and_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_revoke, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_broken_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gate_broken_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
