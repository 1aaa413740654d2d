#include "worker/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

void worker_output_init(struct worker_output *output, const char *path, int64_t max)
{
    *output = (struct worker_output){.path = path, .max = max, .fd = -1};
}

static void fail(struct worker_output *output, const char *what)
{
    log_with(LOG_ERROR, log_fields("path", output->path), "cannot %s a task's log, its output is dropped: %s", what,
             strerror(errno));
    output->failed = true;
}

static void make_folders(const char *path)
{
    char *folder = mem_strdup(path);
    for (char *at = strchr(folder + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(folder, 0700);
        *at = '/';
    }
    mem_free(folder);
}

static int open_log(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static void write_all(struct worker_output *output, const char *bytes, size_t len)
{
    while (len && !output->failed) {
        ssize_t written = write(output->fd, bytes, len);
        if (written > 0) {
            output->size += written;
            bytes += written;
            len -= (size_t)written;
        } else if (errno != EINTR) {
            fail(output, "write");
        }
    }
}

static void make(struct worker_output *output)
{
    output->fd = open_log(output->path);
    if (output->fd < 0 && errno == ENOENT) {
        make_folders(output->path);
        output->fd = open_log(output->path);
    }
    if (output->fd < 0)
        fail(output, "make");
}

void worker_output_spill(struct worker_output *output)
{
    if (!output->due_ms)
        return;
    output->due_ms = 0;
    output->size = 0;
    make(output);
    write_all(output, output->held, output->held_len);
    worker_output_free(output);
}

/* true: the bytes are held. */
static bool hold(struct worker_output *output, const char *bytes, size_t len, int64_t now_ms)
{
    if (output->fd >= 0 || output->held_len + len > LIMIT_LOG_INLINE_BYTES_MAX)
        return false;
    if (!output->held) {
        output->held = mem_alloc(LIMIT_LOG_INLINE_BYTES_MAX);
        output->due_ms = now_ms + LIMIT_LOG_INLINE_MS;
    }
    memcpy(output->held + output->held_len, bytes, len);
    output->held_len += len;
    output->size += (int64_t)len;
    return true;
}

static void append(struct worker_output *output, const char *bytes, size_t len, int64_t now_ms)
{
    if (hold(output, bytes, len, now_ms))
        return;
    worker_output_spill(output);
    if (output->fd < 0 && !output->failed)
        make(output);
    write_all(output, bytes, len);
}

void worker_output_add(struct worker_output *output, const char *bytes, size_t len, int64_t now_ms)
{
    if (!len || output->failed || output->cut)
        return;
    int64_t room = output->max - output->kept;
    size_t keep = (int64_t)len <= room ? len : (size_t)room;
    if (keep)
        append(output, bytes, keep, now_ms);
    output->kept += (int64_t)keep;
    if (keep == len)
        return;
    char line[96];
    int line_len = snprintf(line, sizeof line, "\n[pawl: output beyond %" PRId64 " bytes is not kept]\n", output->max);
    append(output, line, (size_t)line_len, now_ms);
    output->cut = true;
}

void worker_output_close(struct worker_output *output)
{
    if (output->fd >= 0)
        (void)close(output->fd);
    output->fd = -1;
    output->due_ms = 0;
}

void worker_output_free(struct worker_output *output)
{
    mem_free(output->held);
    output->held = NULL;
    output->held_len = 0;
}
