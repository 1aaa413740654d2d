#include "worker/record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"

/* "pawlrun1": another layout gets another number. */
#define MAGIC 0x316e75726c776170u

static size_t record_size(uint32_t slots)
{
    return sizeof(struct worker_record) + slots * sizeof(struct worker_record_slot);
}

static int map(int fd, uint32_t slots, struct worker_record **ret_record)
{
    void *memory = mmap(NULL, record_size(slots), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return -1;
    *ret_record = memory;
    return 0;
}

int worker_record_make(const char *path, uint32_t slots, struct uuid boot_id, struct worker_record **ret_record,
                       struct error *err)
{
    int code = 0;
    struct worker_record *record = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    /* Blocks are taken now: a full disk must be an error here and not a SIGBUS later. */
    if (fd < 0 || (errno = posix_fallocate(fd, 0, (off_t)record_size(slots))) != 0 || map(fd, slots, &record) != 0)
        code = error_set(err, ERROR_IO, "cannot make %s: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    if (code)
        return code;
    record->magic = MAGIC;
    record->boot_id = boot_id;
    record->slots = slots;
    *ret_record = record;
    return 0;
}

int worker_record_set_cgroup(struct worker_record *record, const char *cgroup, struct error *err)
{
    size_t len = cgroup ? strlen(cgroup) : 0;
    if (len >= WORKER_RECORD_PATH_MAX)
        return error_set(err, ERROR_TOO_BIG, "the path of the cgroup is too long: %s", cgroup);
    memset(record->cgroup, 0, sizeof record->cgroup);
    if (len)
        memcpy(record->cgroup, cgroup, len);
    return 0;
}

int worker_record_read(const char *path, struct worker_record **ret_record, struct error *err)
{
    *ret_record = NULL;
    int code = 0;
    struct stat st;
    struct worker_record head;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : error_set(err, ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0)
        code = error_set(err, ERROR_IO, "cannot read %s: %s", path, strerror(errno));
    else if (pread(fd, &head, sizeof head, 0) == (ssize_t)sizeof head && head.magic == MAGIC
             && head.slots <= LIMIT_SLOTS_MAX && st.st_size >= (off_t)record_size(head.slots)
             && memchr(head.cgroup, '\0', sizeof head.cgroup) && map(fd, head.slots, ret_record) != 0)
        code = error_set(err, ERROR_IO, "cannot map %s: %s", path, strerror(errno));
    (void)close(fd);
    return code;
}

void worker_record_close(struct worker_record *record)
{
    if (record)
        (void)munmap(record, record_size(record->slots));
}
