#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

static struct {
    _Atomic enum log_level least;
    bool journal;       /* stderr is the journal's: lines begin with <N>, see sd-daemon(3) */
    bool json;
} settings = {LOG_INFO, false, false};

static const char *const level_names[] = {"debug", "info", "warn", "error"};
/* The same as syslog(3) counts; its names are taken here. */
static const int priorities[] = {7, 6, 4, 3};

/* systemd names the stream that it gave us, so that one that was redirected since is not taken for it. */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    char here[64];
    if (!stream || fstat(STDERR_FILENO, &st) != 0)
        return false;
    (void)snprintf(here, sizeof here, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    return strcmp(stream, here) == 0;
}

void log_init(enum log_level least, enum log_form form)
{
    settings.least = least;
    settings.journal = is_journal();
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
    if (settings.journal)
        buf_printf(&line, "<%d>", priorities[level]);
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
