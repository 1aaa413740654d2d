/* What the worker holds: attempts from their START to the ACK of their result, in the order they came. */
#include "worker/model.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

static struct worker_attempt *find(struct worker *worker, const struct job_key *key)
{
    for (struct worker_attempt *attempt = worker->newest; attempt; attempt = attempt->older)
        if (job_key_equal(&attempt->job.key, key))
            return attempt;
    return NULL;
}

static void hold(struct worker *worker, struct worker_attempt *attempt)
{
    attempt->older = worker->newest;
    if (worker->newest)
        worker->newest->newer = attempt;
    else
        worker->oldest = attempt;
    worker->newest = attempt;
}

static void forget(struct worker *worker, struct worker_attempt *attempt)
{
    if (attempt->older)
        attempt->older->newer = attempt->newer;
    else
        worker->oldest = attempt->newer;
    if (attempt->newer)
        attempt->newer->older = attempt->older;
    else
        worker->newest = attempt->older;
    attempt->newer = worker->gone;
    worker->gone = attempt;
}

void worker_attempt_free_gone(struct worker *worker)
{
    struct worker_attempt *next;
    for (struct worker_attempt *attempt = worker->gone; attempt; attempt = next) {
        next = attempt->newer;
        arena_fini(&attempt->arena);
        mem_free(attempt->frame);
        mem_free(attempt->error);
        worker_output_free(&attempt->output);
        worker_mask_free(attempt->mask);
        mem_free(attempt);
    }
    worker->gone = NULL;
}

static struct worker_attempt *make(const char *frame, size_t len)
{
    struct worker_attempt *attempt = mem_new(struct worker_attempt);
    struct message message;
    attempt->frame = mem_dup(frame, len);
    ssize_t size = worker_message_read(attempt->frame, len, &message, NULL);
    assert(size == (ssize_t)len && message.type == MESSAGE_START);
    attempt->job = message.start;
    attempt->pipe.fd = -1;
    attempt->leaf.fd = -1;
    attempt->gate.fd = -1;
    attempt->result = (struct job_result){
        .key = attempt->job.key,
        .outcome = ATTEMPT_SUCCEEDED,
        .retryable = true,
        .exit_code = -1,
    };
    worker_output_init(&attempt->output, attempt->job.log_path, attempt->job.log_bytes_max);
    return attempt;
}

static bool take_slot(struct worker *worker, struct worker_attempt *attempt)
{
    if (worker->free_count == 0)
        return false;
    attempt->slot = &worker->slots[worker->free_slots[--worker->free_count]];
    attempt->slot->attempt = attempt;
    return true;
}

static void begin(struct worker *worker, struct worker_attempt *attempt)
{
    attempt->phase = PHASE_RUNNING;
    attempt->deadline_ms = 0;
    attempt->started_boot_ms = clock_boot_ms();
    if (attempt->job.kind == JOB_HTTP)
        worker_http_start(worker, attempt);
    else
        worker_process_start(worker, attempt);
}

static void wait_for_slot(struct worker *worker, struct worker_attempt *attempt)
{
    attempt->phase = PHASE_WAITING;
    attempt->deadline_ms = clock_boot_ms() + WORKER_WAIT_MS;
    if (worker->waiting_count++ == 0)
        worker->waiting_due_ms = attempt->deadline_ms;
}

void worker_attempt_start(struct worker *worker, const char *frame, size_t len)
{
    struct worker_attempt *attempt = make(frame, len);
    if (worker->ending || find(worker, &attempt->job.key)) {
        attempt->newer = worker->gone;
        worker->gone = attempt;
        return;
    }
    worker_attempt_serve_waiting(worker); /* who came first begins first */
    hold(worker, attempt);
    if (take_slot(worker, attempt)) {
        begin(worker, attempt);
    } else if (attempt->job.may_wait) {
        wait_for_slot(worker, attempt);
    } else {
        worker_attempt_fail(attempt, FAILURE_INTERNAL, "the worker has no free slot");
        worker_attempt_finish(worker, attempt);
    }
}

static void give_back(struct worker *worker, struct worker_attempt *attempt)
{
    worker->waiting_count--;
    worker_link_send(worker, &(struct message){.type = MESSAGE_RETURNED, .waiter = attempt->job.key});
    forget(worker, attempt);
}

void worker_attempt_recall(struct worker *worker, const struct job_key *key)
{
    struct worker_attempt *attempt = find(worker, key);
    if (attempt && attempt->phase == PHASE_WAITING)
        give_back(worker, attempt);
}

/* Without a daemon nobody is told: who comes next hears what is held. */
void worker_attempt_serve_waiting(struct worker *worker)
{
    if (worker->waiting_count == 0)
        return;
    int64_t now_ms = clock_boot_ms();
    if (worker->free_count == 0 && now_ms < worker->waiting_due_ms)
        return;
    worker->waiting_due_ms = INT64_MAX;
    struct worker_attempt *newer;
    for (struct worker_attempt *attempt = worker->oldest; attempt && worker->waiting_count; attempt = newer) {
        newer = attempt->newer;
        if (attempt->phase != PHASE_WAITING)
            continue;
        if (take_slot(worker, attempt)) {
            worker->waiting_count--;
            begin(worker, attempt);
        } else if (attempt->deadline_ms <= now_ms) {
            give_back(worker, attempt);
        } else {
            worker->waiting_due_ms = attempt->deadline_ms; /* it is the first: they came in this order */
            return;
        }
    }
}

static void tell_started(struct worker *worker, const struct worker_attempt *attempt, enum message_type type)
{
    worker_link_send(worker, &(struct message){
                                 .type = type,
                                 .started = {attempt->job.key, attempt->pid, attempt->started_ms},
                             });
}

void worker_attempt_began(struct worker *worker, struct worker_attempt *attempt)
{
    attempt->started_ms = clock_wall_ms();
    if (attempt->job.timeout_ms) {
        attempt->deadline_ms = attempt->started_boot_ms + attempt->job.timeout_ms;
        worker_wake_at(worker, attempt->deadline_ms);
    }
    tell_started(worker, attempt, MESSAGE_STARTED);
}

/* Most attempts with secrets say nothing. */
static bool has_mask(struct worker_attempt *attempt)
{
    if (attempt->job.secrets.count && !attempt->mask)
        attempt->mask = worker_mask_new(&attempt->job.secrets);
    return attempt->mask;
}

bool worker_attempt_hides(struct worker_attempt *attempt, const char *text)
{
    if (!has_mask(attempt))
        return false;
    struct buf shown = BUF_INIT;
    worker_mask_text(attempt->mask, text, &shown);
    bool hides = strcmp(buf_text(&shown), text) != 0;
    buf_fini(&shown);
    return hides;
}

void worker_attempt_fail(struct worker_attempt *attempt, enum error_type type, const char *format, ...)
{
    if (attempt->error)
        return;
    char text[LIMIT_ERROR_TEXT_BYTES_MAX + 1];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (has_mask(attempt)) {
        struct buf shown = BUF_INIT;
        worker_mask_text(attempt->mask, text, &shown);
        attempt->error = buf_take(&shown);
    } else {
        attempt->error = mem_strdup(text);
    }
    attempt->result.error_type = type;
    attempt->result.outcome = ATTEMPT_FAILED;
}

/* An end that we brought about is what the attempt is told to have come to, whatever its processes said then. */
static void judge(struct worker_attempt *attempt)
{
    char limit[24];
    if (attempt->end == END_BY_ITSELF)
        return;
    mem_free(attempt->error);
    attempt->error = NULL;
    if (attempt->end == END_BY_TIMEOUT) {
        str_format_duration(attempt->job.timeout_ms, limit);
        worker_attempt_fail(attempt, FAILURE_TIMEOUT, "timed out after %s", limit);
        attempt->result.outcome = ATTEMPT_TIMED_OUT;
    } else {
        worker_attempt_fail(attempt, FAILURE_NONE, "canceled");
        attempt->result.outcome = ATTEMPT_CANCELED;
    }
    attempt->result.retryable = true;
}

static void free_slot(struct worker *worker, struct worker_attempt *attempt)
{
    if (!attempt->slot)
        return;
    attempt->slot->attempt = NULL;
    worker->free_slots[worker->free_count++] = (uint32_t)(attempt->slot - worker->slots);
    attempt->slot = NULL;
}

void worker_attempt_output(struct worker *worker, struct worker_attempt *attempt, const char *bytes, size_t len)
{
    if (has_mask(attempt)) {
        struct buf shown = BUF_INIT;
        worker_mask_feed(attempt->mask, bytes, len, &shown);
        worker_output_add(&attempt->output, shown.bytes, shown.len, clock_boot_ms());
        buf_fini(&shown);
    } else {
        worker_output_add(&attempt->output, bytes, len, clock_boot_ms());
    }
    if (attempt->output.due_ms)
        worker_wake_at(worker, attempt->output.due_ms);
}

static void end_output(struct worker_attempt *attempt)
{
    if (attempt->mask) {
        struct buf shown = BUF_INIT;
        worker_mask_end(attempt->mask, &shown);
        worker_output_add(&attempt->output, shown.bytes, shown.len, clock_boot_ms());
        buf_fini(&shown);
    }
    worker_output_close(&attempt->output);
}

static void tell_result(struct worker *worker, const struct worker_attempt *attempt)
{
    worker_link_send(worker, &(struct message){.type = MESSAGE_RESULT, .result = attempt->result});
}

void worker_attempt_finish(struct worker *worker, struct worker_attempt *attempt)
{
    struct job_result *result = &attempt->result;
    judge(attempt);
    end_output(attempt);
    if (attempt->code_path) {
        (void)unlink(attempt->code_path);
        attempt->code_path = NULL;
    }
    free_slot(worker, attempt);
    /* The wall clock may have been set back meanwhile. */
    int64_t now_ms = clock_wall_ms();
    result->started_ms = attempt->started_ms;
    result->ended_ms = now_ms > attempt->started_ms ? now_ms : attempt->started_ms;
    result->error = attempt->error;
    result->log_bytes = attempt->output.size;
    result->log = attempt->output.held;
    result->log_len = attempt->output.held_len;
    attempt->phase = PHASE_ENDED;
    attempt->deadline_ms = 0;
    if (worker->ending)
        forget(worker, attempt);
    else
        tell_result(worker, attempt);
}

static void stop(struct worker *worker, struct worker_attempt *attempt, enum worker_end end, bool at_once)
{
    if (attempt->phase == PHASE_WAITING) {
        worker->waiting_count--;
        attempt->end = end;
        worker_attempt_finish(worker, attempt);
        return;
    }
    /* An exit that came first wins; so does the first reason. */
    if ((attempt->phase == PHASE_RUNNING || attempt->phase == PHASE_STARTING) && attempt->end == END_BY_ITSELF)
        attempt->end = end;
    else if (!at_once && attempt->end != END_BY_ITSELF)
        return;
    if (attempt->job.kind == JOB_HTTP)
        worker_http_stop(worker, attempt);
    else
        worker_process_stop(worker, attempt, at_once);
}

void worker_attempt_stop(struct worker *worker, const struct job_key *key, enum stop_reason reason)
{
    struct worker_attempt *attempt = find(worker, key);
    if (attempt && attempt->phase != PHASE_ENDED)
        stop(worker, attempt, END_BY_CANCEL, reason == STOP_KILL);
}

void worker_attempt_kill_all(struct worker *worker)
{
    struct worker_attempt *newer;
    for (struct worker_attempt *attempt = worker->oldest; attempt; attempt = newer) {
        newer = attempt->newer;
        if (attempt->phase == PHASE_ENDED)
            forget(worker, attempt);
        else
            stop(worker, attempt, END_BY_CANCEL, true);
    }
}

void worker_attempt_ack(struct worker *worker, const struct job_key *key)
{
    struct worker_attempt *attempt = find(worker, key);
    if (attempt && attempt->phase == PHASE_ENDED)
        forget(worker, attempt);
}

void worker_attempt_tell_all(struct worker *worker)
{
    for (struct worker_attempt *attempt = worker->oldest; attempt; attempt = attempt->newer)
        if (attempt->phase != PHASE_ENDED)
            tell_started(worker, attempt, MESSAGE_HELD);
    for (struct worker_attempt *attempt = worker->oldest; attempt; attempt = attempt->newer)
        if (attempt->phase == PHASE_ENDED)
            tell_result(worker, attempt);
}

static void pass_deadline(struct worker *worker, struct worker_attempt *attempt)
{
    attempt->deadline_ms = 0;
    if (attempt->phase == PHASE_RUNNING && attempt->end == END_BY_ITSELF)
        stop(worker, attempt, END_BY_TIMEOUT, false);
    else
        worker_process_deadline(worker, attempt);
}

void worker_attempt_deadlines(struct worker *worker, int64_t now_ms)
{
    for (uint32_t i = 0; i < worker->options->slots; i++) {
        struct worker_attempt *attempt = worker->slots[i].attempt;
        if (attempt && attempt->output.due_ms && attempt->output.due_ms <= now_ms)
            worker_output_spill(&attempt->output);
        if (attempt && attempt->deadline_ms && attempt->deadline_ms <= now_ms)
            pass_deadline(worker, attempt);
        attempt = worker->slots[i].attempt;
        if (attempt && attempt->deadline_ms)
            worker_wake_at(worker, attempt->deadline_ms);
        if (attempt && attempt->output.due_ms)
            worker_wake_at(worker, attempt->output.due_ms);
    }
}

bool worker_attempt_any_began(const struct worker *worker)
{
    const struct worker_attempt *attempt = worker->oldest;
    while (attempt && attempt->phase == PHASE_WAITING)
        attempt = attempt->newer;
    return attempt != NULL;
}

bool worker_attempt_any_runs(const struct worker *worker)
{
    return worker->free_count < worker->options->slots;
}
