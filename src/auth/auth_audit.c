#include "auth/auth_audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

struct auth_audit {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct buf waiting;         /* lines to be written; with the lock, as the next two */
    uint64_t dropped;           /* lines there was no room for */
    bool ending;
    char *path;
    int fd;                     /* the thread's, as size and broken; -1: cannot be opened */
    int64_t size;
    int64_t bytes_max;
    bool broken;                /* said once, until it can be written again */
};

static void add_line(struct buf *out, const struct auth_audit_entry *entry)
{
    const struct {
        const char *key, *value;
    } fields[] = {
        {"action", entry->action},   {"principal", entry->principal}, {"role", entry->role},
        {"outcome", entry->outcome}, {"peer", entry->peer},           {"method", entry->method},
        {"target", entry->target},   {"requestId", entry->request_id}, {"runId", entry->run_id},
        {"details", entry->details},
    };
    struct json json;
    json_init(&json, out);
    json_begin_object(&json);
    json_kv_time(&json, "time", clock_wall_ms());
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (fields[i].value)
            json_kv_string(&json, fields[i].key, fields[i].value);
    if (entry->status)
        json_kv_int(&json, "status", entry->status);
    json_end_object(&json);
    buf_add_char(out, '\n');
}

static int open_file(const char *path, int64_t *ret_size)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -1;
    *ret_size = fstat(fd, &st) == 0 ? (int64_t)st.st_size : 0;
    return fd;
}

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, bytes, len);
        if (done < 0 && errno != EINTR)
            return false;
        bytes += done > 0 ? done : 0;
        len -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

static void rotate(struct auth_audit *audit)
{
    for (int i = AUTH_AUDIT_FILES_MAX; i > 0; i--) {
        char *to = mem_printf("%s.%d", audit->path, i);
        char *from = i > 1 ? mem_printf("%s.%d", audit->path, i - 1) : mem_strdup(audit->path);
        (void)rename(from, to);
        mem_free(from);
        mem_free(to);
    }
    (void)close(audit->fd);
    audit->fd = open_file(audit->path, &audit->size);
}

/* The thread's, without the lock. */
static void write_lines(struct auth_audit *audit, const struct buf *lines)
{
    if (audit->fd >= 0 && audit->size >= audit->bytes_max)
        rotate(audit);
    if (audit->fd < 0)
        audit->fd = open_file(audit->path, &audit->size);
    bool ok = audit->fd >= 0 && write_all(audit->fd, lines->bytes, lines->len);
    if (!ok && !audit->broken)
        log_error("%s cannot be written, who does what is not recorded: %s", audit->path, strerror(errno));
    audit->broken = !ok;
    audit->size += (int64_t)lines->len;
}

static void add_dropped(struct buf *lines, uint64_t dropped)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%" PRIu64 " entries came too fast to be written", dropped);
    add_line(lines, &(const struct auth_audit_entry){.action = "audit.dropped", .details = text});
}

static void *run(void *context)
{
    struct auth_audit *audit = context;
    struct buf lines = BUF_INIT;
    (void)pthread_mutex_lock(&audit->lock);
    for (;;) {
        while (!audit->waiting.len && !audit->dropped && !audit->ending)
            (void)pthread_cond_wait(&audit->more, &audit->lock);
        if (!audit->waiting.len && !audit->dropped)
            break;
        struct buf mine = audit->waiting;
        audit->waiting = lines;
        uint64_t dropped = audit->dropped;
        audit->dropped = 0;
        (void)pthread_mutex_unlock(&audit->lock);
        if (dropped)
            add_dropped(&mine, dropped);
        write_lines(audit, &mine);
        buf_clear(&mine);
        lines = mine;
        (void)pthread_mutex_lock(&audit->lock);
    }
    (void)pthread_mutex_unlock(&audit->lock);
    buf_fini(&lines);
    return NULL;
}

int auth_audit_open(const char *data_dir, size_t bytes_max, struct auth_audit **ret_audit, struct error *err)
{
    struct auth_audit *audit = mem_new(struct auth_audit);
    audit->path = mem_printf("%s/audit.log", data_dir);
    audit->bytes_max = bytes_max ? (int64_t)bytes_max : AUTH_AUDIT_BYTES_MAX;
    audit->fd = open_file(audit->path, &audit->size);
    int problem = audit->fd < 0 ? errno : 0;
    (void)pthread_mutex_init(&audit->lock, NULL);
    (void)pthread_cond_init(&audit->more, NULL);
    if (!problem)
        problem = pthread_create(&audit->thread, NULL, run, audit);
    if (!problem) {
        *ret_audit = audit;
        return 0;
    }
    int code = error_set(err, ERROR_IO, "%s: %s", audit->path, strerror(problem));
    if (audit->fd >= 0)
        (void)close(audit->fd);
    mem_free(audit->path);
    mem_free(audit);
    return code;
}

void auth_audit_close(struct auth_audit *audit)
{
    if (!audit)
        return;
    (void)pthread_mutex_lock(&audit->lock);
    audit->ending = true;
    (void)pthread_cond_signal(&audit->more);
    (void)pthread_mutex_unlock(&audit->lock);
    (void)pthread_join(audit->thread, NULL);
    (void)pthread_mutex_destroy(&audit->lock);
    (void)pthread_cond_destroy(&audit->more);
    if (audit->fd >= 0)
        (void)close(audit->fd);
    buf_fini(&audit->waiting);
    mem_free(audit->path);
    mem_free(audit);
}

void auth_audit_add(struct auth_audit *audit, const struct auth_audit_entry *entry)
{
    if (!audit)
        return;
    struct buf line = BUF_INIT;
    add_line(&line, entry);
    (void)pthread_mutex_lock(&audit->lock);
    bool was_idle = !audit->waiting.len && !audit->dropped;
    if (audit->waiting.len + line.len > AUTH_AUDIT_QUEUE_BYTES_MAX)
        audit->dropped++;
    else
        buf_add(&audit->waiting, line.bytes, line.len);
    if (was_idle)
        (void)pthread_cond_signal(&audit->more);
    (void)pthread_mutex_unlock(&audit->lock);
    buf_fini(&line);
}

int auth_audit_append(const char *data_dir, const struct auth_audit_entry *entry, struct error *err)
{
    char *path = mem_printf("%s/audit.log", data_dir);
    struct buf line = BUF_INIT;
    int64_t size;
    add_line(&line, entry);
    int fd = open_file(path, &size);
    bool ok = fd >= 0 && write_all(fd, line.bytes, line.len);
    int code = ok ? 0 : error_set(err, ERROR_IO, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    buf_fini(&line);
    mem_free(path);
    return code;
}
