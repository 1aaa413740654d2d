#include "cli/view.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/eta.h"
#include "cli/remote.h"
#include "cli/text.h"

enum { LINES_MAX = 16 * 1024 * 1024, WRITE_MAX = 4096, TICK_MS = 1000 };

static void add_one(int fd)
{
    const uint64_t one = 1;
    ssize_t done = write(fd, &one, sizeof one);
    (void)done; /* the counter of an eventfd is never full here */
}

/* ---- what is known ---- */

static void forget_running(struct cli_view *view, uint32_t task, int64_t *ret_started_ms)
{
    *ret_started_ms = 0;
    for (size_t i = 0; i < view->running_count; i++) {
        if (view->running[i].task != task)
            continue;
        *ret_started_ms = view->running[i].started_ms;
        memmove(&view->running[i], &view->running[i + 1], (view->running_count - i - 1) * sizeof *view->running);
        view->running_count--;
        return;
    }
}

static void note_running(struct cli_view *view, const struct server_local_change *change)
{
    int64_t old;
    forget_running(view, change->task, &old);
    view->running = mem_grow(view->running, &view->running_cap, view->running_count + 1, sizeof *view->running);
    view->running[view->running_count++] =
        (struct cli_view_task){.task = change->task, .attempt = change->attempt, .started_ms = clock_boot_ms()};
}

static void note_change(struct cli_view *view, const struct server_local_change *change)
{
    bool was_terminal = state_task_is_terminal((enum task_state)view->states[change->task]);
    view->states[change->task] = (uint8_t)change->state;
    if (change->state == TASK_RUNNING) {
        note_running(view, change);
        return;
    }
    int64_t started_ms;
    forget_running(view, change->task, &started_ms);
    if (was_terminal || !state_task_is_terminal(change->state))
        return;
    if (change->attempt > 0) {
        view->ended++;
        view->busy_ms += started_ms ? clock_boot_ms() - started_ms : 0;
    }
    view->left_by_rank[view->dag->rank[change->task]]--;
    while (view->rank_max > 0 && view->left_by_rank[view->rank_max] == 0)
        view->rank_max--;
}

/* ---- lines ---- */

static void add_line(struct cli_view *view, const struct server_local_change *change)
{
    const struct dag_task *task = &view->dag->tasks[change->task];
    struct buf *out = &view->lines;
    char text[24];
    bool retry = change->state == TASK_PENDING && change->retry_ms > 0;
    if (change->state == TASK_QUEUED || (change->state == TASK_PENDING && !retry))
        return;
    const char *word = retry ? "failed" : state_task_name(change->state);
    cli_text_add(out, task->id, strlen(task->id));
    buf_printf(out, ": %s%s%s", view->color ? cli_live_color(word) : "", word, view->color ? "\033[0m" : "");
    if (change->state == TASK_RUNNING && change->attempt > 1)
        buf_printf(out, ", attempt %u of %u", change->attempt, task->retry.max_attempts);
    if (change->state != TASK_RUNNING && change->started_ms && change->completed_ms) {
        str_format_elapsed(change->completed_ms - change->started_ms, text);
        buf_printf(out, " after %s", text);
    }
    if (change->error && change->state != TASK_RUNNING) {
        buf_add_text(out, ": ");
        cli_text_add(out, change->error, strlen(change->error));
    }
    if (retry) {
        int64_t rest_ms = change->retry_ms - clock_wall_ms();
        str_format_elapsed(rest_ms > 0 ? rest_ms : 0, text);
        buf_printf(out, "; retry in %s", text);
    }
    buf_add_char(out, '\n');
}

void cli_view_on_start(void *context, struct uuid run_id, int64_t started_ms)
{
    struct cli_view *view = context;
    char id[UUID_TEXT_LEN + 1];
    (void)started_ms;
    uuid_format(run_id, id);
    pthread_mutex_lock(&view->lock);
    memcpy(view->run, cli_short_id(id), sizeof view->run);
    view->started_ms = clock_boot_ms();
    if (!view->terminal) {
        buf_printf(&view->lines, "run %s of ", id);
        cli_text_add(&view->lines, view->dag->name, strlen(view->dag->name));
        buf_printf(&view->lines, ": %u task%s\n", view->dag->task_count, view->dag->task_count == 1 ? "" : "s");
    }
    view->changed = true;
    pthread_mutex_unlock(&view->lock);
    add_one(view->wake_fd);
}

void cli_view_on_change(void *context, const struct server_local_change *change,
                        const uint32_t counts[TASK_STATE_COUNT])
{
    struct cli_view *view = context;
    pthread_mutex_lock(&view->lock);
    bool wake = !view->changed;
    memcpy(view->counts, counts, sizeof view->counts);
    note_change(view, change);
    while (view->lines.len > LINES_MAX && !view->broken && view->interrupts == 0)
        pthread_cond_wait(&view->room, &view->lock);
    if (!view->terminal && !view->broken)
        add_line(view, change);
    view->changed = true;
    pthread_mutex_unlock(&view->lock);
    if (wake)
        add_one(view->wake_fd);
}

/* ---- the thread ---- */

static void draw(struct cli_view *view, int64_t now_ms)
{
    struct cli_live_task tasks[CLI_LIVE_TASKS_MAX];
    struct cli_live_view shown = {.name = view->dag->name, .run = view->run, .total = view->dag->task_count};
    struct cli_eta eta = {.elapsed_ms = view->started_ms ? now_ms - view->started_ms : 0, .ended = view->ended,
                          .busy_ms = view->busy_ms, .slots = view->slots, .path = view->rank_max};
    unsigned columns, rows;
    memcpy(shown.counts, view->counts, sizeof shown.counts);
    for (size_t i = 0; i < view->running_count; i++) {
        const struct cli_view_task *task = &view->running[i];
        eta.running_ms += now_ms - task->started_ms;
        if (i < CLI_LIVE_TASKS_MAX)
            tasks[shown.task_count++] = (struct cli_live_task){
                view->dag->tasks[task->task].id, now_ms - task->started_ms, task->attempt};
    }
    for (int i = 0; i < TASK_STATE_COUNT; i++)
        eta.left += state_task_is_terminal((enum task_state)i) ? 0 : view->counts[i];
    shown.tasks = tasks;
    shown.running = (uint32_t)view->running_count;
    shown.elapsed_ms = eta.elapsed_ms;
    shown.left_ms = cli_eta_estimate(&eta);
    shown.note = view->interrupts > 1    ? "killing"
                 : view->interrupts == 1 ? "canceling; again kills at once"
                                         : NULL;
    cli_live_size(view->fd, &columns, &rows);
    cli_live_draw(&view->live, &shown, columns, rows, &view->writing);
    view->drawn_ms = now_ms;
}

/* Takes what is new under the lock. Returns how long to wait for more; -1: until something comes. */
static int take_news(struct cli_view *view, bool *ret_stopping)
{
    int wait_ms = -1;
    pthread_mutex_lock(&view->lock);
    int64_t now_ms = clock_boot_ms(), since_ms = now_ms - view->drawn_ms;
    *ret_stopping = view->stopping;
    if (view->terminal && !view->stopping) {
        int64_t pause_ms = view->changed ? CLI_LIVE_REDRAW_MS : TICK_MS;
        if (since_ms >= pause_ms && view->writing.len == 0) {
            draw(view, now_ms);
            view->changed = false;
            pause_ms = TICK_MS;
            since_ms = 0;
        }
        wait_ms = (int)(pause_ms > since_ms ? pause_ms - since_ms : 0);
    } else if (!view->terminal && view->writing.len < WRITE_MAX) {
        buf_add(&view->writing, view->lines.bytes, view->lines.len);
        buf_clear(&view->lines);
        view->changed = false;
        pthread_cond_signal(&view->room);
    }
    pthread_mutex_unlock(&view->lock);
    return wait_ms;
}

static void write_some(struct cli_view *view)
{
    size_t len = view->writing.len < WRITE_MAX ? view->writing.len : WRITE_MAX;
    ssize_t done = write(view->fd, view->writing.bytes, len);
    if (done > 0)
        buf_drop_front(&view->writing, (size_t)done);
    if (done >= 0 || errno == EINTR || errno == EAGAIN)
        return;
    buf_clear(&view->writing);
    pthread_mutex_lock(&view->lock);
    view->broken = true; /* the run goes on: its outcome is the exit status */
    buf_clear(&view->lines);
    pthread_cond_signal(&view->room);
    pthread_mutex_unlock(&view->lock);
}

static void take_signals(struct cli_view *view)
{
    struct signalfd_siginfo got;
    while (read(view->signal_fd, &got, sizeof got) == (ssize_t)sizeof got) {
        pthread_mutex_lock(&view->lock);
        view->changed = true;
        view->drawn_ms = 0;
        view->interrupts += got.ssi_signo != SIGWINCH;
        if (got.ssi_signo != SIGWINCH && !view->terminal && view->interrupts <= 2)
            buf_add_text(&view->lines, view->interrupts == 1 ? "canceling; again kills at once\n" : "killing\n");
        pthread_cond_signal(&view->room);
        pthread_mutex_unlock(&view->lock);
        if (got.ssi_signo != SIGWINCH)
            add_one(view->interrupt_fd);
    }
}

static void *view_main(void *context)
{
    struct cli_view *view = context;
    for (;;) {
        bool stopping;
        int wait_ms = take_news(view, &stopping);
        if (stopping && (view->writing.len == 0 || view->broken || view->interrupts > 1))
            return NULL;
        struct pollfd ready[3] = {{.fd = view->signal_fd, .events = POLLIN},
                                  {.fd = view->wake_fd, .events = POLLIN},
                                  {.fd = view->writing.len > 0 ? view->fd : -1, .events = POLLOUT}};
        if (poll(ready, 3, wait_ms) <= 0)
            continue;
        if (ready[0].revents)
            take_signals(view);
        if (ready[1].revents) {
            uint64_t count;
            ssize_t got = read(view->wake_fd, &count, sizeof count);
            (void)got;
        }
        if (ready[2].revents)
            write_some(view);
    }
}

int cli_view_start(struct cli_view *view, const struct dag *dag, uint32_t slots, int fd, bool terminal, bool color,
                   struct error *err)
{
    *view = (struct cli_view){.dag = dag, .slots = slots, .fd = fd, .terminal = terminal, .color = color,
                              .live = {.color = color}, .rank_max = 0};
    sigset_t caught;
    sigemptyset(&caught);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGTERM);
    sigaddset(&caught, SIGHUP);
    sigaddset(&caught, SIGWINCH);
    pthread_sigmask(SIG_BLOCK, &caught, NULL);
    view->states = mem_zalloc(dag->task_count + 1);
    for (uint32_t i = 0; i < dag->task_count; i++)
        view->rank_max = dag->rank[i] > view->rank_max ? dag->rank[i] : view->rank_max;
    view->left_by_rank = mem_new_array(uint32_t, view->rank_max + 1);
    for (uint32_t i = 0; i < dag->task_count; i++)
        view->left_by_rank[dag->rank[i]]++;
    view->counts[TASK_PENDING] = dag->task_count;
    pthread_mutex_init(&view->lock, NULL);
    pthread_cond_init(&view->room, NULL);
    view->interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    view->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    view->signal_fd = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
    if (view->interrupt_fd < 0 || view->wake_fd < 0 || view->signal_fd < 0)
        return error_set(err, ERROR_IO, "no event descriptor: %s", strerror(errno));
    int rc = pthread_create(&view->thread, NULL, view_main, view);
    return rc ? error_set(err, ERROR_IO, "no thread: %s", strerror(rc)) : 0;
}

void cli_view_stop(struct cli_view *view)
{
    unsigned columns, rows;
    pthread_mutex_lock(&view->lock);
    view->stopping = true;
    pthread_mutex_unlock(&view->lock);
    add_one(view->wake_fd);
    pthread_join(view->thread, NULL);
    cli_live_size(view->fd, &columns, &rows);
    cli_live_clear(&view->live, columns, &view->writing);
    while (view->writing.len > 0 && !view->broken && view->interrupts < 2)
        write_some(view);
    close(view->interrupt_fd);
    close(view->wake_fd);
    close(view->signal_fd);
    mem_free(view->states);
    mem_free(view->left_by_rank);
    mem_free(view->running);
    buf_fini(&view->lines);
    buf_fini(&view->writing);
    pthread_cond_destroy(&view->room);
    pthread_mutex_destroy(&view->lock);
}
