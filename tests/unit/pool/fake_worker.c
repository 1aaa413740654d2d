#include "fake_worker.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "pool/pool_model.h"
#include "worker/protocol.h"

enum { HELD_MAX = 10000, LIFE_S = 300 };

struct fake {
    const char *mode;
    struct uuid id;
    uint32_t slots;
    int listen_fd;
    int fd;
    bool quit;
    struct pool_held held[HELD_MAX];
    size_t held_count;
    struct buf in, out;
};

static struct fake fake;

static bool is(const char *mode)
{
    return strcmp(fake.mode, mode) == 0;
}

static void flush_out(void)
{
    size_t at = 0;
    while (at < fake.out.len) {
        ssize_t sent = send(fake.fd, fake.out.bytes + at, fake.out.len - at, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            break;
        at += sent > 0 ? (size_t)sent : 0;
    }
    buf_clear(&fake.out);
}

static void say(enum message_type type)
{
    const struct message message = {.type = type};
    worker_message_write(&fake.out, &message);
}

static void say_hello(void)
{
    struct message hello = {.type = MESSAGE_HELLO,
                            .hello = {.version = is("version") ? 99 : PROTOCOL_VERSION,
                                      .worker_id = fake.id,
                                      .pid = is("proxy") ? getppid() : getpid(),
                                      .slots = is("slots") ? LIMIT_SLOTS_MAX + 1 : fake.slots,
                                      .isolation = ISOLATION_BEST_EFFORT}};
    assert(pool_process_boot_id(&hello.hello.boot_id));
    assert(pool_process_start_ticks(hello.hello.pid, &hello.hello.start_ticks));
    hello.hello.start_ticks += is("ticks");
    hello.hello.boot_id.bytes[0] ^= is("boot");
    hello.hello.worker_id.bytes[0] ^= is("id");
    worker_message_write(&fake.out, &hello);
}

static void say_held(const struct pool_held *held, bool met)
{
    struct message message = {.type = held->ended ? MESSAGE_RESULT : met ? MESSAGE_STARTED : MESSAGE_HELD};
    if (held->ended)
        message.result = held->result;
    else
        message.started = held->started;
    worker_message_write(&fake.out, &message);
}

static void greet(void)
{
    if (is("mute"))
        return;
    if (is("garbage"))
        buf_add_text(&fake.out, "HTTP/1.1 200 OK\r\n\r\n");
    if (is("early"))
        say(MESSAGE_READY);
    say_hello();
    for (size_t i = 0; i < fake.held_count; i++)
        say_held(&fake.held[i], false);
    say(MESSAGE_READY);
    if (is("twice"))
        say_hello();
    if (is("daemon"))
        say(MESSAGE_QUIT);
}

static struct pool_held *find(const struct job_key *key)
{
    for (size_t i = 0; i < fake.held_count; i++)
        if (job_key_equal(key, &fake.held[i].started.key))
            return &fake.held[i];
    return NULL;
}

static void end(struct pool_held *held, enum attempt_state outcome)
{
    held->ended = true;
    held->result = (struct job_result){
        .key = held->started.key,
        .outcome = outcome,
        .error_type = outcome == ATTEMPT_SUCCEEDED ? FAILURE_NONE : FAILURE_SIGNAL,
        .error = outcome == ATTEMPT_SUCCEEDED ? NULL : "stopped as it was told",
        .started_ms = held->started.started_ms,
        .ended_ms = held->started.started_ms + 7,
    };
    say_held(held, true);
}

static void start(const struct job *job)
{
    assert(fake.held_count < HELD_MAX);
    struct pool_held *held = &fake.held[fake.held_count++];
    *held = (struct pool_held){.started = {.key = job->key, .pid = 77, .started_ms = 1000}};
    say_held(held, true);
    bool crash = strcmp(job->command, "crash") == 0;
    if (crash || strcmp(job->command, "end") == 0)
        end(held, ATTEMPT_SUCCEEDED);
    if (crash) {
        flush_out();
        _exit(9);
    }
}

static void take(const struct message *message)
{
    struct pool_held *held;
    if (message->type == MESSAGE_START)
        start(&message->start);
    else if (message->type == MESSAGE_STOP && (held = find(&message->stop.key)))
        end(held, ATTEMPT_CANCELED);
    else if (message->type == MESSAGE_ACK && (held = find(&message->ack)))
        *held = fake.held[--fake.held_count];
    else if (message->type == MESSAGE_QUIT)
        fake.quit = true;
    else if (message->type == MESSAGE_KILL_ALL)
        _exit(0);
    if (fake.quit && fake.held_count == 0)
        _exit(0);
}

static void take_all(void)
{
    size_t at = 0;
    struct message message;
    struct error err;
    for (ssize_t size; (size = worker_message_read(fake.in.bytes + at, fake.in.len - at, &message, &err)) != 0;) {
        assert(size > 0);
        take(&message);
        at += (size_t)size;
    }
    buf_drop_front(&fake.in, at);
}

static void serve(void)
{
    enum { READ_BYTES = 65536 };
    greet();
    flush_out();
    ssize_t got;
    do {
        if (is("close"))
            return;
        got = recv(fake.fd, buf_extend(&fake.in, READ_BYTES), READ_BYTES, 0);
        fake.in.len -= READ_BYTES - (got > 0 ? (size_t)got : 0);
        take_all();
        flush_out();
    } while (got > 0);
}

static void read_options(int argc, char **argv)
{
    for (int i = 2; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--id") == 0)
            assert(uuid_parse(argv[i + 1], &fake.id));
        else if (strcmp(argv[i], "--slots") == 0)
            fake.slots = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--listen-fd") == 0)
            fake.listen_fd = (int)strtol(argv[i + 1], NULL, 10);
    }
}

/* The child goes on in its parent's place, and not longer than that lives; an alarm is not inherited. */
static void answer_for_parent(void)
{
    pid_t parent = getpid();
    if (fork() != 0)
        for (;;)
            (void)pause();
    (void)alarm(LIFE_S);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(5);
}

int fake_worker(int argc, char **argv)
{
    (void)alarm(LIFE_S); /* whatever happens to the test */
    fake.mode = getenv("PAWL_FAKE");
    if (!fake.mode)
        fake.mode = "good";
    read_options(argc, argv);
    if (is("die"))
        _exit(3);
    while (is("deaf"))
        (void)pause();
    if (is("proxy"))
        answer_for_parent();
    for (;;) {
        fake.fd = accept(fake.listen_fd, NULL, NULL);
        if (fake.fd < 0)
            _exit(4);
        buf_clear(&fake.in);
        serve();
        (void)close(fake.fd);
        if (is("close"))
            fake.mode = "deaf";
        while (is("deaf"))
            (void)pause();
    }
}
