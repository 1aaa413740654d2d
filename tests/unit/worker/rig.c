#include "rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "worker/files.h"
#include "worker/procs.h"

enum { PATIENCE_MS = 60000 };

static const struct uuid run_id = {{1, 0x90, 8, 8, 8, 8, 0x70, 8, 0x80, 8, 8, 8, 8, 8, 8, 8}};

struct rig *rig_new(const struct rig_mode *mode)
{
    struct rig *rig = mem_new(struct rig);
    (void)snprintf(rig->root, sizeof rig->root, "/tmp/pawl-worker-XXXXXX");
    assert_non_null(mkdtemp(rig->root));
    (void)snprintf(rig->dir, sizeof rig->dir, "%s/workers", rig->root);
    (void)snprintf(rig->workdir, sizeof rig->workdir, "%s/work", rig->root);
    assert_int_equal(mkdir(rig->dir, 0700), 0);
    assert_int_equal(mkdir(rig->workdir, 0700), 0);
    const uint64_t random[2] = {(uint64_t)getpid(), (uint64_t)clock_boot_us()};
    rig->fd = -1;
    rig->fence = 100;
    rig->options = (struct worker_options){
        .id = uuid_make_v7(clock_wall_ms(), random),
        .dir = rig->dir,
        .slots = 4,
        .grace_ms = 20000,
        .idle_exit_ms = 60000,
        .isolation = mode->isolation,
        .spawn = mode->spawn,
    };
    return rig;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void rig_free(struct rig *rig)
{
    rig_disconnect(rig);
    if (rig->pid) {
        (void)kill(rig->pid, SIGKILL);
        (void)waitpid(rig->pid, NULL, 0);
    }
    uint32_t found = 1;
    while (found && worker_leftover_kill(rig->dir, rig->options.id, &found, NULL) == 0)
        ;
    worker_leftover_remove(rig->dir, rig->options.id, false);
    (void)nftw(rig->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    buf_fini(&rig->in);
    buf_fini(&rig->env);
    buf_fini(&rig->log);
    buf_fini(&rig->kept);
    mem_free(rig);
}

static struct sockaddr_un address_of(const struct rig *rig)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *path = worker_file(rig->dir, rig->options.id, "sock");
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    mem_free(path);
    return address;
}

void rig_start(struct rig *rig)
{
    struct sockaddr_un address = address_of(rig);
    rig->options.listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(rig->options.listen_fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(rig->options.listen_fd, 8), 0);
    char *path = worker_file(rig->dir, rig->options.id, "lock");
    rig->options.lock_fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(flock(rig->options.lock_fd, LOCK_EX | LOCK_NB), 0);
    mem_free(path);
    rig->pid = fork();
    assert_true(rig->pid >= 0);
    if (rig->pid == 0)
        exit(worker_main(&rig->options));
    (void)close(rig->options.listen_fd);
    (void)close(rig->options.lock_fd);
}

void rig_disconnect(struct rig *rig)
{
    if (rig->fd >= 0)
        (void)close(rig->fd);
    rig->fd = -1;
    rig->taken = 0;
    buf_clear(&rig->in);
}

static void receive(struct rig *rig)
{
    char bytes[16384];
    struct pollfd ready = {.fd = rig->fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
    ssize_t len = recv(rig->fd, bytes, sizeof bytes, 0);
    if (len <= 0)
        fail_msg("the worker has closed the connection");
    buf_add(&rig->in, bytes, (size_t)len);
}

void rig_next(struct rig *rig, struct message *ret_message)
{
    struct error err = {0};
    buf_drop_front(&rig->in, rig->taken);
    rig->taken = 0;
    for (;;) {
        ssize_t size = worker_message_read(rig->in.bytes, rig->in.len, ret_message, &err);
        if (size < 0)
            fail_msg("the worker sent: %s", err.text);
        if (size > 0) {
            rig->taken = (size_t)size;
            return;
        }
        receive(rig);
    }
}

unsigned rig_connect(struct rig *rig)
{
    struct sockaddr_un address = address_of(rig);
    rig_disconnect(rig);
    rig->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(rig->fd, (struct sockaddr *)&address, sizeof address), 0);
    struct message message;
    rig_next(rig, &message);
    assert_int_equal(message.type, MESSAGE_HELLO);
    rig->hello = message.hello;
    unsigned count = 0;
    rig->greeted_results = 0;
    for (rig_next(rig, &message); message.type != MESSAGE_READY; rig_next(rig, &message)) {
        assert_true(message.type == MESSAGE_HELD || message.type == MESSAGE_RESULT);
        count++;
        rig->greeted_results += message.type == MESSAGE_RESULT;
    }
    return count;
}

void rig_send(struct rig *rig, const struct message *message)
{
    struct buf out = BUF_INIT;
    worker_message_write(&out, message);
    assert_int_equal(send(rig->fd, out.bytes, out.len, MSG_NOSIGNAL), out.len);
    buf_fini(&out);
}

void rig_send_bare(struct rig *rig, enum message_type type)
{
    rig_send(rig, &(struct message){.type = type});
}

static void add_env(struct rig *rig, const char *text)
{
    worker_list_add(&rig->env, &rig->env_count, text, strlen(text));
}

static struct job new_job(struct rig *rig, enum job_kind kind)
{
    char text[64];
    rig->fence++;
    (void)snprintf(rig->log_path, sizeof rig->log_path, "%s/logs/a/b/%llu.log", rig->root,
                   (unsigned long long)rig->fence);
    buf_clear(&rig->env);
    rig->env_count = 0;
    add_env(rig, "PATH=/usr/local/bin:/usr/bin:/bin");
    char id[UUID_TEXT_LEN + 1];
    uuid_format(run_id, id);
    (void)snprintf(text, sizeof text, "PAWL_RUN_ID=%s", id);
    add_env(rig, text);
    (void)snprintf(text, sizeof text, "PAWL_FENCE=%llu", (unsigned long long)rig->fence);
    add_env(rig, text);
    return (struct job){
        .key = {.run_id = run_id, .fence = rig->fence, .task = 1, .number = 1},
        .kind = kind,
        .log_path = rig->log_path,
        .log_bytes_max = 1 << 20,
        .workdir = rig->workdir,
        .env = {rig->env.bytes, rig->env.len, rig->env_count},
    };
}

struct job rig_command(struct rig *rig, const char *command)
{
    struct job job = new_job(rig, JOB_COMMAND);
    job.command = command;
    return job;
}

struct job rig_argv(struct rig *rig, const char *const *argv)
{
    struct job job = new_job(rig, JOB_ARGV);
    struct buf *bytes = &rig->log; /* free until the log is read */
    buf_clear(bytes);
    for (; *argv; argv++)
        worker_list_add(bytes, &job.argv.count, *argv, strlen(*argv));
    job.argv.bytes = bytes->bytes;
    job.argv.len = bytes->len;
    return job;
}

void rig_begin(struct rig *rig, const struct job *job)
{
    struct message message;
    rig_send(rig, &(struct message){.type = MESSAGE_START, .start = *job});
    rig_next(rig, &message);
    assert_int_equal(message.type, MESSAGE_STARTED);
    assert_true(job_key_equal(&message.started.key, &job->key));
    assert_true(message.started.started_ms > 0);
}

struct job_result rig_result(struct rig *rig)
{
    struct message message;
    do
        rig_next(rig, &message);
    while (message.type == MESSAGE_STARTED || message.type == MESSAGE_HELD);
    assert_int_equal(message.type, MESSAGE_RESULT);
    assert_true(message.result.ended_ms >= message.result.started_ms);
    rig_send(rig, &(struct message){.type = MESSAGE_ACK, .ack = message.result.key});
    buf_clear(&rig->kept);
    buf_add(&rig->kept, message.result.log, message.result.log_len);
    return message.result;
}

struct job_result rig_run(struct rig *rig, const struct job *job)
{
    rig_send(rig, &(struct message){.type = MESSAGE_START, .start = *job});
    struct job_result result = rig_result(rig);
    assert_true(job_key_equal(&result.key, &job->key));
    return result;
}

const char *rig_log(struct rig *rig, const char *path)
{
    buf_clear(&rig->log);
    FILE *file = fopen(path, "rb");
    size_t len = 1;
    while (file && len > 0) {
        buf_reserve(&rig->log, 65536);
        len = fread(rig->log.bytes + rig->log.len, 1, 65536, file);
        rig->log.len += len;
    }
    if (file)
        (void)fclose(file);
    else
        buf_add(&rig->log, rig->kept.bytes, rig->kept.len);
    return buf_text(&rig->log);
}

static void wait_end(struct rig *rig, int expected)
{
    int fd = (int)syscall(SYS_pidfd_open, rig->pid, 0);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    assert_true(fd >= 0);
    assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
    (void)close(fd);
    int status;
    assert_int_equal(waitpid(rig->pid, &status, 0), rig->pid);
    rig->pid = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), expected);
}

void rig_expect_end(struct rig *rig)
{
    wait_end(rig, 0);
    DIR *folder = opendir(rig->dir);
    struct dirent *item;
    while ((item = readdir(folder)))
        if (item->d_name[0] != '.')
            fail_msg("%s was left behind", item->d_name);
    (void)closedir(folder);
}

void rig_expect_death(struct rig *rig)
{
    wait_end(rig, 1);
    char *record = worker_file(rig->dir, rig->options.id, "run");
    assert_int_equal(access(record, F_OK), 0);
    mem_free(record);
}

void rig_quit(struct rig *rig)
{
    rig_send_bare(rig, MESSAGE_QUIT);
    rig_expect_end(rig);
}

const char *rig_path(struct rig *rig, const char *name)
{
    buf_clear(&rig->log);
    buf_printf(&rig->log, "%s/%s", rig->workdir, name);
    return buf_text(&rig->log);
}

const char *rig_fifo(struct rig *rig, const char *name)
{
    const char *path = rig_path(rig, name);
    assert_int_equal(mkfifo(path, 0600), 0);
    return path;
}

const char *rig_wait_fifo(struct rig *rig, const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    char text[256] = "";
    size_t len = 0;
    while (!strchr(text, '\n')) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
        ssize_t got = read(fd, text + len, sizeof text - 1 - len);
        assert_true(got > 0 || (got < 0 && errno == EAGAIN));
        len += got > 0 ? (size_t)got : 0;
        text[len] = '\0';
    }
    (void)close(fd);
    buf_clear(&rig->log);
    buf_add_text(&rig->log, text);
    return buf_text(&rig->log);
}

bool rig_is_alive(pid_t pid)
{
    struct worker_proc proc;
    return worker_proc_read(pid, &proc) && !proc.dead;
}

void rig_expect_gone(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return;
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
    (void)close(fd);
}
