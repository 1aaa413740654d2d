/* The daemon's own log: one line per event to stderr, text on a terminal, JSON otherwise. Thread-safe; a line is
 * one write. The only mutable file-scope state of the program. Fields are key/value pairs of C strings. */
#ifndef PAWL_BASE_LOG_H
#define PAWL_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_form { LOG_AUTO, LOG_TEXT, LOG_JSON };

void log_init(enum log_level least, enum log_form form); /* before the first thread */
void log_set_level(enum log_level least);                /* any thread, at any time */
bool log_enabled(enum log_level level);
bool log_level_parse(const char *text, enum log_level *ret_level);
/* fields: NULL, or key, value, key, value, ..., NULL. A NULL value leaves its pair out. */
void log_write(enum log_level level, const char *const *fields, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(...) log_write(LOG_DEBUG, NULL, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, NULL, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, NULL, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, NULL, __VA_ARGS__)
/* log_with(LOG_INFO, log_fields("runId", id, "taskId", task), "text %d", 1) */
#define log_fields(...) ((const char *const[]){__VA_ARGS__, NULL, NULL})
#define log_with(level, fields, ...) log_write(level, fields, __VA_ARGS__)

#endif
