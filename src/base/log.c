#include "base/log.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

static struct {
    _Atomic enum log_level least;
    bool json;
} settings = {LOG_INFO, false};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(enum log_level least, enum log_form form)
{
    settings.least = least;
    settings.json = form == LOG_JSON || (form == LOG_AUTO && !isatty(STDERR_FILENO));
}

void log_set_level(enum log_level least)
{
    settings.least = least;
}

bool log_enabled(enum log_level level)
{
    return level >= settings.least;
}

bool log_level_parse(const char *text, enum log_level *ret_level)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static void add_json(struct buf *line, enum log_level level, const char *const *fields, const char *text)
{
    struct json json;
    json_init(&json, line);
    json_begin_object(&json);
    json_kv_time(&json, "time", clock_wall_ms());
    json_kv_string(&json, "level", level_names[level]);
    json_kv_string(&json, "message", text);
    for (; fields && fields[0]; fields += 2)
        if (fields[1])
            json_kv_string(&json, fields[0], fields[1]);
    json_end_object(&json);
}

/* Control characters of foreign text must not reach a terminal. */
static void add_printable(struct buf *line, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f)
            buf_printf(line, "\\x%02x", c);
        else
            buf_add_char(line, (char)c);
    }
}

static void add_plain(struct buf *line, enum log_level level, const char *const *fields, const char *text)
{
    char time[CLOCK_TEXT_MAX];
    clock_format_utc(clock_wall_ms(), time);
    buf_printf(line, "%s %-5s ", time, level_names[level]);
    add_printable(line, text);
    for (; fields && fields[0]; fields += 2) {
        if (fields[1]) {
            buf_printf(line, " %s=", fields[0]);
            add_printable(line, fields[1]);
        }
    }
}

void log_write(enum log_level level, const char *const *fields, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    struct buf text = BUF_INIT, line = BUF_INIT;
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    if (settings.json)
        add_json(&line, level, fields, buf_text(&text));
    else
        add_plain(&line, level, fields, buf_text(&text));
    buf_add_char(&line, '\n');
    ssize_t written = write(STDERR_FILENO, line.bytes, line.len);
    (void)written; /* a log that cannot be written must not stop the work it speaks of */
    buf_fini(&text);
    buf_fini(&line);
}
