#include "server/node.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

static int make_id(int fd, const char *path, struct uuid *ret_id, struct error *err)
{
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set(err, ERROR_IO, "no random numbers: %s", strerror(errno));
    struct uuid id = uuid_make_v7(clock_wall_ms(), random);
    char text[UUID_TEXT_LEN + 1];
    uuid_format(id, text);
    text[UUID_TEXT_LEN] = '\n';
    if (pwrite(fd, text, sizeof text, 0) != (ssize_t)sizeof text || fsync(fd) != 0)
        return error_set(err, ERROR_IO, "%s cannot be written: %s", path, strerror(errno));
    *ret_id = id;
    return 0;
}

int server_node_id(const char *data_dir, struct uuid *ret_id, struct error *err)
{
    char *path = mem_printf("%s/node", data_dir);
    char text[UUID_TEXT_LEN];
    int code = 0;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        code = error_set(err, ERROR_IO, "%s cannot be opened: %s", path, strerror(errno));
    else if (pread(fd, text, sizeof text, 0) != (ssize_t)sizeof text || !uuid_parse_len(text, sizeof text, ret_id))
        code = make_id(fd, path, ret_id, err);
    if (fd >= 0)
        (void)close(fd);
    mem_free(path);
    return code;
}
