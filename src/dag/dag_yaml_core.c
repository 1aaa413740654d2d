/* The core schema of YAML 1.2: what a plain scalar is, and its form in JSON. */
#include "dag/dag_yaml.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static bool is_one_of(const char *text, size_t len, const char *const *words)
{
    for (; *words; words++)
        if (strlen(*words) == len && memcmp(text, *words, len) == 0)
            return true;
    return false;
}

static size_t span_digits(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && text[n] >= '0' && text[n] <= '9')
        n++;
    return n;
}

static bool all_in(const char *text, size_t len, const char *allowed)
{
    for (size_t i = 0; i < len; i++)
        if (!text[i] || !strchr(allowed, text[i]))
            return false;
    return len > 0;
}

static bool is_float(const char *text, size_t len)
{
    static const char *const specials[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf",
                                           "-.INF", ".nan", ".NaN", ".NAN", NULL};
    if (is_one_of(text, len, specials))
        return true;
    size_t i = len && (text[0] == '-' || text[0] == '+');
    size_t whole = span_digits(text + i, len - i);
    i += whole;
    size_t fraction = 0;
    if (i < len && text[i] == '.') {
        i++;
        fraction = span_digits(text + i, len - i);
        i += fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (i < len && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        i += i < len && (text[i] == '-' || text[i] == '+');
        size_t exponent = span_digits(text + i, len - i);
        if (exponent == 0)
            return false;
        i += exponent;
    }
    return i == len;
}

enum dag_node_kind dag_yaml_plain_kind(const char *text, size_t len)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    if (len == 0 || (len <= 4 && is_one_of(text, len, nulls)))
        return DAG_NODE_NULL;
    if (strchr("tTfF", text[0]) && is_one_of(text, len, bools))
        return DAG_NODE_BOOL;
    if (!strchr("0123456789+-.", text[0]))
        return DAG_NODE_STRING;
    if (len > 2 && text[0] == '0' && text[1] == 'o')
        return all_in(text + 2, len - 2, "01234567") ? DAG_NODE_INT : DAG_NODE_STRING;
    if (len > 2 && text[0] == '0' && text[1] == 'x')
        return all_in(text + 2, len - 2, "0123456789abcdefABCDEF") ? DAG_NODE_INT : DAG_NODE_STRING;
    size_t sign = text[0] == '-' || text[0] == '+';
    if (len > sign && span_digits(text + sign, len - sign) == len - sign)
        return DAG_NODE_INT;
    return is_float(text, len) ? DAG_NODE_FLOAT : DAG_NODE_STRING;
}

/* An octal or hexadecimal number in decimal; beyond 64 bits as a float. */
static void add_based(struct buf *out, const char *digits, size_t len, unsigned base)
{
    uint64_t value = 0;
    double large = 0;
    bool fits = true;
    for (size_t i = 0; i < len; i++) {
        char c = digits[i];
        unsigned digit = (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
        large = large * base + digit;
        fits = fits && !__builtin_mul_overflow(value, base, &value) && !__builtin_add_overflow(value, digit, &value);
    }
    if (fits)
        buf_add_uint(out, value);
    else if (large <= 1.7976931348623157e308)
        buf_printf(out, "%.17g", large);
    else
        buf_add_text(out, "1.7976931348623157e308");
}

/* Digits without the zeros in front that JSON does not allow. */
static void add_whole(struct buf *out, const char *digits, size_t len)
{
    while (len > 1 && *digits == '0') {
        digits++;
        len--;
    }
    buf_add(out, len ? digits : "0", len ? len : 1);
}

static bool add_number(struct buf *out, const char *text, size_t len)
{
    if (len > 2 && text[0] == '0' && (text[1] == 'o' || text[1] == 'x')) {
        add_based(out, text + 2, len - 2, text[1] == 'o' ? 8 : 16);
        return true;
    }
    size_t sign = text[0] == '-' || text[0] == '+';
    if (len > sign + 1 && text[sign] == '.' && !(text[sign + 1] >= '0' && text[sign + 1] <= '9'))
        return false; /* .inf, .nan */
    if (text[0] == '-')
        buf_add_char(out, '-');
    text += sign;
    len -= sign;
    size_t whole = span_digits(text, len);
    add_whole(out, text, whole);
    text += whole;
    len -= whole;
    if (len && *text == '.') {
        size_t fraction = span_digits(text + 1, len - 1);
        buf_add_char(out, '.');
        buf_add(out, fraction ? text + 1 : "0", fraction ? fraction : 1);
        text += 1 + fraction;
        len -= 1 + fraction;
    }
    buf_add(out, text, len); /* the exponent */
    return true;
}

static const struct dag_node *add_scalar(const struct dag_node *node, bool as_key, struct buf *out)
{
    const struct dag_node *real = dag_node_real(node);
    if (as_key || real->kind == DAG_NODE_STRING) {
        struct json json;
        json_init(&json, out);
        json_add_string_len(&json, real->text, real->len);
    } else if (real->kind == DAG_NODE_NULL) {
        buf_add_text(out, "null");
    } else if (real->kind == DAG_NODE_BOOL) {
        buf_add_text(out, (real->text[0] | 0x20) == 't' ? "true" : "false");
    } else if (!add_number(out, real->text, real->len)) {
        return node;
    }
    return NULL;
}

/* Recursion is as deep as the tree, which LIMIT_YAML_DEPTH_MAX bounds with aliases expanded. */
const struct dag_node *dag_yaml_to_json(const struct dag_node *node, struct buf *out)
{
    const struct dag_node *real = dag_node_real(node);
    if (real->kind != DAG_NODE_LIST && real->kind != DAG_NODE_MAPPING)
        return add_scalar(node, false, out);
    bool mapping = real->kind == DAG_NODE_MAPPING;
    buf_add_char(out, mapping ? '{' : '[');
    for (const struct dag_node *child = real->first; child; child = child->next) {
        const struct dag_node *bad = NULL;
        if (mapping) {
            bad = add_scalar(child, true, out);
            buf_add_char(out, ':');
            child = child->next;
        }
        bad = bad ? bad : dag_yaml_to_json(child, out);
        if (bad)
            return bad;
        if (child->next)
            buf_add_char(out, ',');
    }
    buf_add_char(out, mapping ? '}' : ']');
    return NULL;
}
