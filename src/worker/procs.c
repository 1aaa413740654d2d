/* One pass reads every stat file, a second one asks sessions and environments, then ownership flows from parents to
 * children until nothing changes. Signals go through a pidfd whose process is compared once more by its start time, so
 * that a pid that was given out again meanwhile is not hit.
 *
 * Whatever began before the oldest mark is never looked at, nor are other users' processes by one who could not
 * signal them. The environments of those are readable to root and with CAP_SYS_PTRACE only; sessions and parents are
 * to all. */
#include "worker/procs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/capability.h"
#include "base/mem.h"
#include "base/str.h"

enum { ENVIRON_BYTES_MAX = 4 * 1024 * 1024, PATH_TEXT_MAX = 64 };

enum owner { OWNER_NONE, OWNER_MARK, OWNER_OTHER };

struct entry {
    struct worker_proc proc;
    enum owner owner;
    int32_t leader;      /* of the attempt it belongs to */
};

struct table {
    struct entry *entries;
    size_t count;
    size_t cap;
};

int worker_procs_read_file(int dir_fd, const char *path, char *text, size_t size)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t len = read(fd, text, size - 1);
    int saved = errno;
    (void)close(fd);
    errno = saved;
    text[len > 0 ? len : 0] = '\0';
    return (int)len;
}

bool worker_proc_read(int32_t pid, struct worker_proc *ret_proc)
{
    char path[PATH_TEXT_MAX];
    char text[1024];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (worker_procs_read_file(AT_FDCWD, path, text, sizeof text) <= 0)
        return false;
    /* The name stands in parentheses and may hold any of them itself. */
    const char *rest = strrchr(text, ')');
    struct worker_proc proc = {.pid = pid};
    char status;
    unsigned long long ticks;
    if (!rest || sscanf(rest + 1,
                        " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &status,
                        &proc.parent, &proc.group, &proc.session, &ticks) != 5)
        return false;
    proc.start_ticks = ticks;
    proc.dead = status == 'Z' || status == 'X' || status == 'x';
    *ret_proc = proc;
    return true;
}

static uint64_t ticks_of(int64_t boot_ms)
{
    return (uint64_t)boot_ms * (uint64_t)sysconf(_SC_CLK_TCK) / 1000;
}

static bool in_reach(int32_t pid)
{
    char path[PATH_TEXT_MAX];
    struct stat st;
    (void)snprintf(path, sizeof path, "/proc/%d", pid);
    return stat(path, &st) == 0 && st.st_uid == geteuid();
}

static int read_table(struct table *table, uint64_t since_ticks, struct error *err)
{
    DIR *folder = opendir("/proc");
    if (!folder)
        return error_set(err, ERROR_IO, "cannot read /proc: %s", strerror(errno));
    bool all_in_reach = geteuid() == 0 || capability_has(CAPABILITY_KILL);
    struct dirent *item;
    while ((item = readdir(folder))) {
        int64_t pid;
        struct entry entry = {0};
        if (!str_parse_int(item->d_name, 1, INT32_MAX, &pid) || !worker_proc_read((int32_t)pid, &entry.proc))
            continue;
        if (entry.proc.dead || entry.proc.start_ticks < since_ticks || !(all_in_reach || in_reach((int32_t)pid)))
            continue;
        table->entries = mem_grow(table->entries, &table->cap, table->count + 1, sizeof *table->entries);
        table->entries[table->count++] = entry;
    }
    (void)closedir(folder);
    return 0;
}

static bool read_environ(int32_t pid, struct buf *text)
{
    char path[PATH_TEXT_MAX];
    (void)snprintf(path, sizeof path, "/proc/%d/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    buf_clear(text);
    buf_add_char(text, '\0'); /* so that every variable has a NUL on both sides */
    ssize_t len = 1;
    while (len > 0 && text->len < ENVIRON_BYTES_MAX) {
        buf_reserve(text, 16384);
        len = read(fd, text->bytes + text->len, 16384);
        text->len += len > 0 ? (size_t)len : 0;
    }
    (void)close(fd);
    buf_add_char(text, '\0');
    return len == 0;
}

static bool has_variables(const struct buf *environ_text, const struct worker_mark *mark)
{
    char id[UUID_TEXT_LEN + 1];
    char run[64];
    char fence[64];
    uuid_format(mark->run_id, id);
    int run_len = snprintf(run + 1, sizeof run - 1, "PAWL_RUN_ID=%s", id);
    int fence_len = snprintf(fence + 1, sizeof fence - 1, "PAWL_FENCE=%llu", (unsigned long long)mark->fence);
    run[0] = fence[0] = '\0';
    return memmem(environ_text->bytes, environ_text->len, run, (size_t)run_len + 2)
        && memmem(environ_text->bytes, environ_text->len, fence, (size_t)fence_len + 2);
}

static bool in_session(const struct worker_proc *proc, const struct worker_mark *mark)
{
    return mark->leader && (proc->session == mark->leader || proc->pid == mark->leader)
        && proc->start_ticks >= ticks_of(mark->started_boot_ms);
}

static void own(struct entry *entry, enum owner owner, int32_t leader)
{
    entry->owner = owner;
    entry->leader = leader;
}

static void ask_marks(struct entry *entry, const struct worker_mark *marks, size_t count, enum owner owner,
                      const struct buf *environ_text)
{
    for (size_t i = 0; i < count && entry->owner == OWNER_NONE; i++)
        if (environ_text ? has_variables(environ_text, &marks[i]) : in_session(&entry->proc, &marks[i]))
            own(entry, owner, marks[i].leader);
}

static void ask_itself(struct entry *entry, const struct worker_sweep *sweep, struct buf *environ_text)
{
    ask_marks(entry, sweep->others, sweep->other_count, OWNER_OTHER, NULL);
    ask_marks(entry, sweep->marks, sweep->mark_count, OWNER_MARK, NULL);
    if (entry->owner != OWNER_NONE || !read_environ(entry->proc.pid, environ_text))
        return;
    ask_marks(entry, sweep->others, sweep->other_count, OWNER_OTHER, environ_text);
    ask_marks(entry, sweep->marks, sweep->mark_count, OWNER_MARK, environ_text);
}

static int by_pid(const void *a, const void *b)
{
    const struct entry *left = a;
    const struct entry *right = b;
    return (left->proc.pid > right->proc.pid) - (left->proc.pid < right->proc.pid);
}

static bool inherit(struct table *table)
{
    bool changed = false;
    for (size_t i = 0; i < table->count; i++) {
        struct entry *entry = &table->entries[i];
        if (entry->owner != OWNER_NONE)
            continue;
        const struct entry wanted = {.proc.pid = entry->proc.parent};
        const struct entry *parent = bsearch(&wanted, table->entries, table->count, sizeof wanted, by_pid);
        if (parent && parent->owner != OWNER_NONE) {
            own(entry, parent->owner, parent->leader);
            changed = true;
        }
    }
    return changed;
}

static bool any_may_have_started(const struct worker_mark *marks, size_t count, const struct worker_proc *proc)
{
    for (size_t i = 0; i < count; i++)
        if (ticks_of(marks[i].started_boot_ms) <= proc->start_ticks)
            return true;
    return false;
}

/* The worker's own children that nothing claims. */
static bool own_orphans(struct table *table, const struct worker_sweep *sweep)
{
    bool unsure = false;
    for (size_t i = 0; i < table->count; i++) {
        struct entry *entry = &table->entries[i];
        if (!sweep->subreaper || entry->owner != OWNER_NONE || entry->proc.parent != sweep->subreaper)
            continue;
        if (any_may_have_started(sweep->others, sweep->other_count, &entry->proc))
            unsure = true;
        else
            own(entry, OWNER_MARK, 0);
    }
    return unsure;
}

static void send_one(const struct entry *entry, int signal_number)
{
    const struct worker_proc *proc = &entry->proc;
    int fd = (int)syscall(SYS_pidfd_open, proc->pid, 0);
    struct worker_proc now;
    bool same = worker_proc_read(proc->pid, &now) && now.start_ticks == proc->start_ticks;
    if (fd < 0) {
        if (same && errno == ENOSYS)
            (void)kill(proc->pid, signal_number);
        return;
    }
    if (same) {
        /* A group is killed in one step, which a process that keeps forking cannot outrun. */
        if (signal_number == SIGKILL && entry->leader && proc->group == entry->leader)
            (void)kill(-proc->group, SIGKILL);
        else
            (void)syscall(SYS_pidfd_send_signal, fd, signal_number, NULL, 0);
        /* What is stopped cannot act on a signal. */
        if (signal_number != SIGKILL)
            (void)syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0);
    }
    (void)close(fd);
}

static uint64_t oldest_ticks(const struct worker_sweep *sweep)
{
    uint64_t oldest = UINT64_MAX;
    for (size_t i = 0; i < sweep->mark_count; i++) {
        uint64_t ticks = ticks_of(sweep->marks[i].started_boot_ms);
        oldest = ticks < oldest ? ticks : oldest;
    }
    return oldest;
}

int worker_procs_signal(const struct worker_sweep *sweep, int signal_number, size_t *ret_found, bool *ret_unsure,
                        struct error *err)
{
    *ret_found = 0;
    *ret_unsure = false;
    if (sweep->mark_count == 0)
        return 0;
    struct table table = {0};
    struct buf environ_text = BUF_INIT;
    int code = read_table(&table, oldest_ticks(sweep), err);
    if (code)
        goto out;
    if (table.count)
        qsort(table.entries, table.count, sizeof *table.entries, by_pid);
    for (size_t i = 0; i < table.count; i++) {
        struct entry *entry = &table.entries[i];
        if (entry->proc.pid == getpid() || entry->proc.pid == sweep->subreaper)
            continue;
        ask_itself(entry, sweep, &environ_text);
    }
    while (inherit(&table))
        ;
    *ret_unsure = own_orphans(&table, sweep);
    while (inherit(&table))
        ;
    for (size_t i = 0; i < table.count; i++) {
        if (table.entries[i].owner != OWNER_MARK)
            continue;
        ++*ret_found;
        if (signal_number)
            send_one(&table.entries[i], signal_number);
    }
out:
    buf_fini(&environ_text);
    mem_free(table.entries);
    return code;
}

int32_t worker_procs_last_pid(void)
{
    char text[128];
    int64_t pid;
    if (worker_procs_read_file(AT_FDCWD, "/proc/loadavg", text, sizeof text) <= 0)
        return -1;
    text[strcspn(text, "\n")] = '\0';
    const char *last = strrchr(text, ' ');
    return last && str_parse_int(last + 1, 1, INT32_MAX, &pid) ? (int32_t)pid : -1;
}

struct uuid worker_procs_boot_id(void)
{
    char text[64];
    struct uuid id = {0};
    if (worker_procs_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text, sizeof text) > 0)
        (void)uuid_parse_len(text, UUID_TEXT_LEN, &id);
    return id;
}
