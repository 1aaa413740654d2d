#include "base/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int status;
    int exit_class;
    const char *text;
} error_table[] = {
#define X(code, status, exit_class, text) [ERROR_##code] = {#code, status, exit_class, text},
    ERROR_LIST(X)
#undef X
};

static_assert(sizeof error_table / sizeof error_table[0] == ERROR_COUNT, "one row per code");

static int known(int code)
{
    return code >= 0 && code < ERROR_COUNT ? code : ERROR_INTERNAL;
}

int error_set(struct error *err, enum error_code code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        err->code = code;
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return (int)code;
}

int error_add(struct error *err, const char *format, ...)
{
    if (!err)
        return ERROR_INTERNAL;
    char prefix[sizeof err->text];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    if (len < 0)
        return (int)err->code;
    size_t used = (size_t)len < sizeof prefix ? (size_t)len : sizeof prefix - 1;
    if (used + 2 < sizeof err->text) {
        size_t rest = strlen(err->text);
        size_t room = sizeof err->text - used - 3;
        rest = rest < room ? rest : room;
        memmove(err->text + used + 2, err->text, rest);
        memcpy(err->text, prefix, used);
        memcpy(err->text + used, ": ", 2);
        err->text[used + 2 + rest] = '\0';
    }
    return (int)err->code;
}

const char *error_name(int code)
{
    return error_table[known(code)].name;
}

const char *error_default_text(int code)
{
    return error_table[known(code)].text;
}

int error_http_status(int code)
{
    return error_table[known(code)].status;
}

int error_exit_class(int code)
{
    return error_table[known(code)].exit_class;
}

int error_from_name(const char *name)
{
    for (int code = 0; code < ERROR_COUNT; code++)
        if (strcmp(error_table[code].name, name) == 0)
            return code;
    return ERROR_INTERNAL;
}
