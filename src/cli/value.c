/* Values of options: what is accepted, and what it means. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/str.h"
#include "cli/address.h"
#include "cli/command.h"
#include "dag/dag_text.h"
#include "worker/network.h"

/* "0" and "0s" are none at all; anything else as in DAG files. */
static bool parse_duration(const char *text, int64_t *ret_ms)
{
    if (strcmp(text, "0") == 0 || strcmp(text, "0s") == 0 || strcmp(text, "0ms") == 0) {
        *ret_ms = 0;
        return true;
    }
    return str_parse_duration(text, ret_ms);
}

static bool parse_bytes(const char *text, int64_t *ret_bytes)
{
    static const struct {
        const char *unit;
        int shift;
    } units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
    char digits[20];
    size_t len = strspn(text, "0123456789");
    int64_t number;
    if (len == 0 || len >= sizeof digits)
        return false;
    memcpy(digits, text, len);
    digits[len] = '\0';
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text + len, units[i].unit) == 0 && str_parse_int(digits, 0, INT64_MAX >> units[i].shift, &number)) {
            *ret_bytes = number << units[i].shift;
            return true;
        }
    }
    return false;
}

static bool parse_bool(const char *text, int64_t *ret_value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret_value = (int64_t)(i % 2);
            return true;
        }
    }
    return false;
}

static bool parse_number(const struct cli_option *option, const char *text, int64_t *ret_number)
{
    switch (option->kind) {
    case CLI_FLAG:
        return parse_bool(text, ret_number);
    case CLI_NUMBER:
        return str_parse_int(text, INT64_MIN, INT64_MAX, ret_number);
    case CLI_DURATION:
        return parse_duration(text, ret_number);
    case CLI_BYTES:
        return parse_bytes(text, ret_number);
    default:
        return false;
    }
}

static int check_choice(const struct cli_option *option, const char *text, struct error *err)
{
    char list[300] = "";
    size_t len = 0;
    for (size_t i = 0; option->choices[i]; i++) {
        if (strcmp(option->choices[i], text) == 0)
            return 0;
        int done = snprintf(list + len, sizeof list - len, "%s%s", i > 0 ? ", " : "", option->choices[i]);
        len += done > 0 && (size_t)done < sizeof list - len ? (size_t)done : 0;
    }
    return error_set(err, ERROR_USAGE, "'%.100s' is not one of: %s", text, list);
}

static int check_secret(const char *text, struct error *err)
{
    size_t len = strcspn(text, "=");
    const char *where = text[len] ? text + len + 1 : "";
    bool file = str_starts_with(where, "file:/"), variable = str_starts_with(where, "env:");
    if (!text[len] || !dag_text_is_variable(text, len))
        return error_set(err, ERROR_USAGE,
                         "expected NAME=file:PATH or NAME=env:VARIABLE, NAME of letters, digits and _");
    if (!file && !(variable && dag_text_is_variable(where + 4, strlen(where + 4))))
        return error_set(err, ERROR_USAGE, "'%.*s': expected file:PATH with an absolute path, or env:VARIABLE",
                         (int)len, text);
    return 0;
}

static int check_number(const struct cli_option *option, const char *text, struct error *err)
{
    static const char *const expected[] = {
        [CLI_FLAG] = "true or false",
        [CLI_NUMBER] = "a whole number",
        [CLI_DURATION] = "a duration such as 500ms, 30s, 5m or 1h",
        [CLI_BYTES] = "a size such as 4096, 64KiB or 10MiB",
    };
    int64_t number;
    if (!parse_number(option, text, &number))
        return error_set(err, ERROR_USAGE, "'%.100s' is not %s", text, expected[option->kind]);
    if (option->kind == CLI_FLAG || (number >= option->min && number <= option->max))
        return 0;
    char least[24], most[24];
    if (option->kind == CLI_DURATION) {
        str_format_elapsed(option->min, least);
        str_format_elapsed(option->max, most);
    } else {
        snprintf(least, sizeof least, "%lld", (long long)option->min);
        snprintf(most, sizeof most, "%lld", (long long)option->max);
    }
    return error_set(err, ERROR_USAGE, "'%.100s' is out of range: %s to %s", text, least, most);
}

static int check_network(const char *text, struct error *err)
{
    unsigned char prefix[16];
    unsigned len;
    return worker_network_parse(text, prefix, &len)
               ? 0
               : error_set(err, ERROR_USAGE, "'%.100s' is no network, such as 10.0.0.0/8 or fd00::/8", text);
}

/* Plain characters only, and no name that a path of the API begins with: a request must mean one thing. */
static int check_prefix(const char *text, struct error *err)
{
    static const char *const taken[] = {"api", "docs", "health", "live", "metrics", "ready", "session", "ui"};
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    unsigned segments = 0;
    for (const char *at = text; *at; segments++) {
        size_t len = *at == '/' ? strspn(at + 1, plain) : 0;
        bool dots = len > 0 && strspn(at + 1, ".") >= len;
        if (len == 0 || dots || segments == LIMIT_BASE_PATH_SEGMENTS_MAX)
            return error_set(err, ERROR_USAGE,
                             "'%.100s' is no folder such as /pawl or /tools/pawl, without a slash at the end", text);
        for (size_t i = 0; segments == 0 && i < sizeof taken / sizeof taken[0]; i++)
            if (strlen(taken[i]) == len && memcmp(at + 1, taken[i], len) == 0)
                return error_set(err, ERROR_USAGE, "'%.100s' begins as paths of the API do", text);
        at += 1 + len;
    }
    return segments ? 0 : error_set(err, ERROR_USAGE, "the value is empty");
}

/* A password would be seen by everybody who lists processes or settings. */
static int check_store(const char *text, struct error *err)
{
    if (strcmp(text, "sqlite") == 0)
        return 0;
    if (!str_starts_with(text, "postgresql://") && !str_starts_with(text, "postgres://"))
        return error_set(err, ERROR_USAGE, "'%.100s' is neither sqlite nor postgresql://[USER@]HOST[:PORT]/DATABASE",
                         text);
    const char *host = strchr(text, '/') + 2, *at = strchr(host, '@');
    if (strstr(text, "password=") || (at && memchr(host, ':', (size_t)(at - host))))
        return error_set(err, ERROR_USAGE,
                         "a password does not belong into the URL: put it into ~/.pgpass or name a file by PGPASSFILE");
    return 0;
}

int cli_option_check(const struct cli_option *option, const char *text, struct error *err)
{
    struct cli_address address;
    switch (option->kind) {
    case CLI_FLAG:
    case CLI_NUMBER:
    case CLI_DURATION:
    case CLI_BYTES:
        return check_number(option, text, err);
    case CLI_CHOICE:
        return check_choice(option, text, err);
    case CLI_ADDRESS:
        return cli_address_parse(text, &address, err);
    case CLI_SECRET:
        return check_secret(text, err);
    case CLI_NETWORK:
        return check_network(text, err);
    case CLI_PREFIX:
        return check_prefix(text, err);
    case CLI_STORE_URL:
        return check_store(text, err);
    case CLI_VARIABLE:
        return strchr(text, '=') > text ? 0 : error_set(err, ERROR_USAGE, "'%s' is not NAME=VALUE", text);
    case CLI_TEXT:
    case CLI_PATH:
    case CLI_FOLDER:
    case CLI_URL:
        break;
    }
    return text[0] ? 0 : error_set(err, ERROR_USAGE, "the value is empty");
}

int64_t cli_option_number(const struct cli_option *option, const char *text)
{
    int64_t number = 0;
    return parse_number(option, text, &number) ? number : 0;
}

bool cli_given(const struct cli *cli, enum cli_option_id id)
{
    return cli->values[id].count > 0;
}

const char *cli_text(const struct cli *cli, enum cli_option_id id)
{
    return cli->values[id].count > 0 ? cli->values[id].items[0] : NULL;
}

int64_t cli_number(const struct cli *cli, enum cli_option_id id)
{
    return cli_given(cli, id) ? cli_option_number(&cli_options[id], cli_text(cli, id)) : 0;
}

bool cli_flag(const struct cli *cli, enum cli_option_id id)
{
    return cli_number(cli, id) != 0;
}

bool cli_wants_json(const struct cli *cli)
{
    return cli_given(cli, CLI_OUTPUT) && strcmp(cli_text(cli, CLI_OUTPUT), "json") == 0;
}

const char *cli_operand(const struct cli *cli, size_t index)
{
    return index < cli->operand_count ? cli->operands[index] : NULL;
}
