#include "worker/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

void worker_output_add(struct worker_output *output, const char *bytes, size_t len)
{
    if (!len || output->failed || output->cut)
        return;
    if (output->fd < 0) {
        output->fd = open_log(output->path);
        if (output->fd < 0 && errno == ENOENT) {
            make_folders(output->path);
            output->fd = open_log(output->path);
        }
        if (output->fd < 0) {
            fail(output, "make");
            return;
        }
    }
    int64_t room = output->max - output->kept;
    size_t keep = (int64_t)len <= room ? len : (size_t)room;
    write_all(output, bytes, keep);
    output->kept += (int64_t)keep;
    if (keep == len)
        return;
    char line[96];
    int line_len = snprintf(line, sizeof line, "\n[pawl: output beyond %" PRId64 " bytes is not kept]\n", output->max);
    write_all(output, line, (size_t)line_len);
    output->cut = true;
}

void worker_output_close(struct worker_output *output)
{
    if (output->fd >= 0)
        (void)close(output->fd);
    output->fd = -1;
}
