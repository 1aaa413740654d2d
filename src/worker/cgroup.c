/* cgroup v2, also where it is mounted beside v1 ("hybrid"). The worker stays where it is; only its children are born
 * into the leaves, so that no controller has to be given to the worker's own cgroup. */
#include "worker/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "worker/procs.h"

enum { PROCS_TEXT_MAX = 65536, DEPTH_MAX = 32 };

/* mountinfo writes blanks in paths as \040. */
static void add_unescaped(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\\' && i + 3 < len) {
            buf_add_char(out, (char)((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')));
            i += 3;
        } else {
            buf_add_char(out, text[i]);
        }
    }
}

/* The n-th field (from 0) of a line of words. */
static const char *field(const char *line, unsigned n, size_t *ret_len)
{
    while (n-- > 0) {
        line += strcspn(line, " \n");
        if (*line != ' ')
            return NULL;
        line++;
    }
    *ret_len = strcspn(line, " \n");
    return *ret_len ? line : NULL;
}

static const char *next_line(const char *line)
{
    line += strcspn(line, "\n");
    return *line ? line + 1 : line;
}

char *worker_cgroup_locate(const char *mountinfo, const char *membership)
{
    while (*membership && !str_starts_with(membership, "0::/"))
        membership = next_line(membership);
    if (!*membership || str_starts_with(membership, "0::/.."))
        return NULL;
    const char *own = membership + 3;
    size_t own_len = strcspn(own, "\n");
    for (const char *line = mountinfo; *line; line = next_line(line)) {
        const char *type = strstr(line, " - ");
        size_t root_len = 0;
        size_t point_len = 0;
        const char *root = field(line, 3, &root_len);
        const char *point = field(line, 4, &point_len);
        if (!type || type > line + strcspn(line, "\n") || !str_starts_with(type, " - cgroup2 ") || !root || !point)
            continue;
        /* The mount shows the tree from `root` on. */
        if (root_len == 1)
            root_len = 0;
        if (own_len < root_len || memcmp(own, root, root_len) != 0 || (root_len && own_len > root_len
                                                                       && own[root_len] != '/'))
            continue;
        struct buf path = BUF_INIT;
        add_unescaped(&path, point, point_len);
        if (own_len - root_len > 1)
            buf_add(&path, own + root_len, own_len - root_len);
        return buf_take(&path);
    }
    return NULL;
}

uint64_t worker_cgroup_value(const char *text, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = text; *line; line = next_line(line)) {
        if (strncmp(line, name, len) != 0 || line[len] != ' ')
            continue;
        uint64_t value = 0;
        for (const char *at = line + len + 1; *at >= '0' && *at <= '9'; at++)
            value = value * 10 + (uint64_t)(*at - '0');
        return value;
    }
    return 0;
}

static char *read_all(const char *path)
{
    struct buf text = BUF_INIT;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    ssize_t len;
    do {
        buf_reserve(&text, 16384);
        len = read(fd, text.bytes + text.len, 16384);
        text.len += len > 0 ? (size_t)len : 0;
    } while (len > 0);
    (void)close(fd);
    return buf_take(&text);
}

static int open_folder(int dir_fd, const char *path)
{
    return openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static void write_word(int dir_fd, const char *path, const char *word)
{
    int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    /* Refused where the controller is not to be had: then there is nothing to tell. */
    ssize_t written = write(fd, word, strlen(word));
    (void)written;
    (void)close(fd);
}

char *worker_cgroup_own(void)
{
    char *mountinfo = read_all("/proc/self/mountinfo");
    char *membership = read_all("/proc/self/cgroup");
    char *own = mountinfo && membership ? worker_cgroup_locate(mountinfo, membership) : NULL;
    mem_free(mountinfo);
    mem_free(membership);
    return own;
}

char *worker_cgroup_path(struct uuid worker_id, struct error *err)
{
    char *base = worker_cgroup_own();
    char id[UUID_TEXT_LEN + 1];
    uuid_format(worker_id, id);
    char *path = base ? mem_printf("%s/pawl-%s", base, id) : NULL;
    if (!path)
        error_set(err, ERROR_IO, "there is no cgroup v2");
    mem_free(base);
    return path;
}

int worker_cgroup_open(struct worker_cgroup *cgroup, const char *path, struct error *err)
{
    *cgroup = (struct worker_cgroup){.fd = -1};
    if (mkdir(path, 0755) == 0)
        cgroup->fd = open_folder(AT_FDCWD, path);
    if (cgroup->fd < 0)
        return error_set(err, ERROR_IO, "the cgroup %s cannot be made: %s", path, strerror(errno));
    cgroup->path = mem_strdup(path);
    write_word(cgroup->fd, "cgroup.subtree_control", "+memory");
    return 0;
}

void worker_cgroup_close(struct worker_cgroup *cgroup)
{
    if (!cgroup->path)
        return;
    (void)close(cgroup->fd);
    worker_cgroup_remove(cgroup->path);
    mem_free(cgroup->path);
    *cgroup = (struct worker_cgroup){.fd = -1};
}

static void remove_old_leaves(const struct worker_cgroup *cgroup, uint32_t slot);

int worker_leaf_open(struct worker_cgroup *cgroup, uint32_t slot, struct worker_leaf *leaf, struct error *err)
{
    char name[48];
    worker_leaf_close(leaf);
    remove_old_leaves(cgroup, slot);
    (void)snprintf(name, sizeof name, "%" PRIu32 ".%" PRIu64, slot, cgroup->leaves++);
    if (mkdirat(cgroup->fd, name, 0755) == 0)
        leaf->fd = open_folder(cgroup->fd, name);
    if (leaf->fd >= 0)
        leaf->events_fd = openat(leaf->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    if (leaf->events_fd >= 0) {
        leaf->memory_fd = openat(leaf->fd, "memory.events", O_RDONLY | O_CLOEXEC);
        return 0;
    }
    int code = error_set(err, ERROR_IO, "the cgroup %s/%s cannot be made: %s", cgroup->path, name, strerror(errno));
    worker_leaf_close(leaf);
    return code;
}

void worker_leaf_close(struct worker_leaf *leaf)
{
    if (leaf->memory_fd >= 0)
        (void)close(leaf->memory_fd);
    if (leaf->events_fd >= 0)
        (void)close(leaf->events_fd);
    if (leaf->fd >= 0)
        (void)close(leaf->fd);
    *leaf = WORKER_LEAF_INIT;
}

/* 0 also when the leaf was removed: then it was empty. */
static uint64_t read_value(int fd, const char *name)
{
    char text[512];
    ssize_t len = pread(fd, text, sizeof text - 1, 0);
    text[len > 0 ? len : 0] = '\0';
    return worker_cgroup_value(text, name);
}

bool worker_leaf_populated(const struct worker_leaf *leaf)
{
    return read_value(leaf->events_fd, "populated") != 0;
}

uint64_t worker_leaf_oom_kills(const struct worker_leaf *leaf)
{
    return leaf->memory_fd >= 0 ? read_value(leaf->memory_fd, "oom_kill") : 0;
}

/* Signals the processes of one folder; a page of them at most, the next call gets the rest. */
static uint32_t signal_listed(int dir_fd, int signal_number)
{
    char *text = mem_alloc(PROCS_TEXT_MAX);
    uint32_t count = 0;
    if (worker_procs_read_file(dir_fd, "cgroup.procs", text, PROCS_TEXT_MAX) > 0) {
        for (const char *line = text; *line; line = next_line(line)) {
            int pid = 0;
            for (const char *at = line; *at >= '0' && *at <= '9'; at++)
                pid = pid * 10 + (*at - '0');
            if (pid <= 0)
                continue;
            count++;
            if (signal_number)
                (void)kill(pid, signal_number);
            if (signal_number && signal_number != SIGKILL)
                (void)kill(pid, SIGCONT);
        }
    }
    mem_free(text);
    return count;
}

/* Calls itself for the folders that a task made inside its own. Takes over dir_fd. */
static uint32_t signal_tree(int dir_fd, int signal_number, unsigned depth)
{
    uint32_t count = signal_listed(dir_fd, signal_number);
    DIR *folder = depth < DEPTH_MAX ? fdopendir(dir_fd) : NULL;
    if (!folder) {
        (void)close(dir_fd);
        return count;
    }
    struct dirent *item;
    while ((item = readdir(folder))) {
        if (item->d_type != DT_DIR || item->d_name[0] == '.')
            continue;
        int fd = open_folder(dir_fd, item->d_name);
        if (fd >= 0)
            count += signal_tree(fd, signal_number, depth + 1);
    }
    (void)closedir(folder);
    return count;
}

static bool kill_at_once(int dir_fd)
{
    int fd = openat(dir_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool killed = write(fd, "1", 1) == 1;
    (void)close(fd);
    return killed;
}

void worker_leaf_signal(struct worker_leaf *leaf, int signal_number)
{
    leaf->killed = leaf->killed || signal_number == SIGKILL;
    if (signal_number == SIGKILL && kill_at_once(leaf->fd))
        return;
    int fd = open_folder(leaf->fd, ".");
    if (fd >= 0)
        (void)signal_tree(fd, signal_number, 0);
}

int worker_cgroup_kill_all(const char *path, uint32_t *ret_found, struct error *err)
{
    *ret_found = 0;
    int fd = open_folder(AT_FDCWD, path);
    if (fd < 0)
        return errno == ENOENT ? 0 : error_set(err, ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    /* Counted before they are killed: what dies at once was found too. */
    int again_fd = open_folder(fd, ".");
    if (again_fd >= 0)
        *ret_found = signal_tree(again_fd, 0, 0);
    if (kill_at_once(fd))
        (void)close(fd);
    else
        *ret_found = signal_tree(fd, SIGKILL, 0);
    return 0;
}

/* Folders whose names begin so. Takes over dir_fd. */
static void remove_below(int dir_fd, const char *prefix, unsigned depth)
{
    DIR *folder = depth < DEPTH_MAX ? fdopendir(dir_fd) : NULL;
    if (!folder) {
        (void)close(dir_fd);
        return;
    }
    struct dirent *item;
    while ((item = readdir(folder))) {
        if (item->d_type != DT_DIR || item->d_name[0] == '.' || !str_starts_with(item->d_name, prefix))
            continue;
        int fd = open_folder(dir_fd, item->d_name);
        if (fd >= 0)
            remove_below(fd, "", depth + 1);
        (void)unlinkat(dir_fd, item->d_name, AT_REMOVEDIR);
    }
    (void)closedir(folder);
}

void worker_cgroup_remove(const char *path)
{
    int fd = open_folder(AT_FDCWD, path);
    if (fd < 0)
        return;
    remove_below(fd, "", 0);
    (void)rmdir(path);
}

static void remove_old_leaves(const struct worker_cgroup *cgroup, uint32_t slot)
{
    char prefix[16];
    (void)snprintf(prefix, sizeof prefix, "%" PRIu32 ".", slot);
    int fd = open_folder(cgroup->fd, ".");
    if (fd >= 0)
        remove_below(fd, prefix, 0);
}
