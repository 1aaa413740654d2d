#include "cli/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024 };

static int read_all(int fd, const char *path, size_t bytes_max, struct buf *into, struct error *err)
{
    for (;;) {
        buf_reserve(into, CHUNK);
        ssize_t got = read(fd, into->bytes + into->len, CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(err, ERROR_IO, "%s: %s", path, strerror(errno));
        if (got == 0)
            return 0;
        into->len += (size_t)got;
        if (into->len > bytes_max)
            return error_set(err, ERROR_TOO_BIG, "%s is larger than %zu MiB", path, bytes_max >> 20);
    }
}

int cli_file_read(const char *path, size_t bytes_max, struct buf *into, struct error *err)
{
    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, "<stdin>", bytes_max, into, err);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        enum error_code code = errno == ENOENT || errno == ENOTDIR ? ERROR_NOT_FOUND : ERROR_IO;
        return error_set(err, code, "%s: %s", path, strerror(errno));
    }
    int rc = read_all(fd, path, bytes_max, into, err);
    close(fd);
    return rc;
}

int cli_file_write(const char *path, const struct buf *text, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set(err, ERROR_IO, "%s: %s", path, strerror(errno));
    size_t at = 0;
    while (at < text->len) {
        ssize_t done = write(fd, text->bytes + at, text->len - at);
        if (done < 0 && errno != EINTR)
            break;
        at += done > 0 ? (size_t)done : 0;
    }
    int saved = errno;
    if (close(fd) != 0 || at < text->len)
        return error_set(err, ERROR_IO, "%s: %s", path, strerror(saved ? saved : errno));
    return 0;
}
