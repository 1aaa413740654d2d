#include "sim.h"

#include <string.h>

#include "base/mem.h"

void sim_queue_add(struct queue *queue, const struct message *message)
{
    if (queue->count == QUEUE_MAX)
        model_broken("the simulation's queue is full");
    queue->items[queue->count++] = *message;
}

struct message sim_queue_take(struct queue *queue)
{
    struct message first = queue->items[0];
    memmove(queue->items, queue->items + 1, --queue->count * sizeof first);
    return first;
}

void sim_queue_clear(struct queue *queue)
{
    for (size_t i = 0; i < queue->count; i++)
        mem_free(queue->items[i].held);
    queue->count = 0;
}

void sim_worker_hello(struct sim *sim, struct sim_worker *worker)
{
    struct message hello = {.kind = MESSAGE_HELLO, .held_count = worker->held_count};
    hello.held = mem_new_array(struct engine_attempt, worker->held_count + 1);
    for (size_t i = 0; i < worker->held_count; i++) {
        hello.held[i] = worker->held[i].attempt;
        if (worker->held[i].waiting || (!hello.held[i].ended && sim_chance(sim, 20)))
            hello.held[i].started_ms = 0;
    }
    sim_queue_add(&worker->outbox, &hello);
}

void sim_worker_spawn(struct sim *sim)
{
    if (sim->worker_count == WORKERS_MAX)
        return;
    struct sim_worker *worker = &sim->workers[sim->worker_count++];
    worker->id = (struct uuid){.bytes = {[0] = 0x3e, [15] = (uint8_t)sim->worker_count}};
    worker->alive = true;
    worker->slots = sim->narrow ? 1 : 1 + sim_below(sim, 3);
    worker->ahead_max = sim_chance(sim, 70) ? 1 + sim_below(sim, 3) : 0;
    sim_say(sim, "worker %u comes with %u slots", sim->worker_count, worker->slots);
    if (sim->daemon != DAEMON_DOWN)
        sim_worker_hello(sim, worker);
}

struct sim_truth *sim_truth_of(const struct sim *sim, uint64_t fence)
{
    for (size_t i = sim->truth_count; i-- > 0;)
        if (sim->truths[i].fence == fence)
            return (struct sim_truth *)&sim->truths[i];
    return NULL;
}

static struct sim_attempt *find(struct sim_worker *worker, const struct engine_attempt *key)
{
    for (size_t i = 0; i < worker->held_count; i++) {
        const struct engine_attempt *held = &worker->held[i].attempt;
        if (held->fence == key->fence && held->task == key->task && held->number == key->number &&
            uuid_equal(held->run_id, key->run_id))
            return &worker->held[i];
    }
    return NULL;
}

static void begin(struct sim *sim, struct sim_worker *worker, struct sim_attempt *held)
{
    const struct engine_attempt *key = &held->attempt;
    held->waiting = false;
    sim_check_begin(sim, key);
    if (sim_truth_of(sim, key->fence))
        model_broken("task %u: the same attempt is begun twice", key->task);
    held->attempt.started_ms = sim->now.wall_ms;
    held->attempt.retryable = true;
    held->attempt.exit_code = -1;
    if (sim->truth_count == TRUTHS_MAX)
        model_broken("the simulation cannot remember more attempts");
    sim->truths[sim->truth_count++] = (struct sim_truth){.fence = key->fence};
    sim_check_physical(sim);
    struct message started = {.kind = MESSAGE_STARTED, .attempt = held->attempt};
    if (worker->linked || worker->outbox.count)
        sim_queue_add(&worker->outbox, &started);
}

static uint32_t count(const struct sim_worker *worker, bool waiting)
{
    uint32_t found = 0;
    for (size_t i = 0; i < worker->held_count; i++)
        found += !worker->held[i].attempt.ended && worker->held[i].waiting == waiting;
    return found;
}

/* Those that came first begin first. */
static void serve_waiting(struct sim *sim, struct sim_worker *worker)
{
    for (size_t i = 0; i < worker->held_count; i++)
        if (worker->held[i].waiting && count(worker, false) < worker->slots)
            begin(sim, worker, &worker->held[i]);
}

static void start(struct sim *sim, struct sim_worker *worker, const struct message *message)
{
    const struct engine_attempt *key = &message->attempt;
    if (find(worker, key))
        model_broken("task %u: the same attempt started twice", key->task);
    if (worker->held_count == HELD_MAX)
        model_broken("a worker holds too much");
    struct sim_attempt *held = &worker->held[worker->held_count++];
    *held = (struct sim_attempt){.attempt = *key, .waiting = message->may_wait};
    if (!message->may_wait)
        begin(sim, worker, held);
    else if (worker->ahead_max == 0)
        model_broken("a start that may wait for a worker that knows no waiting");
    serve_waiting(sim, worker);
    if (count(worker, true) > worker->ahead_max + worker->slots)
        model_broken("a worker has too many starts that wait");
}

static void drop(struct sim_worker *worker, struct sim_attempt *held)
{
    size_t place = (size_t)(held - worker->held);
    worker->held_count--;
    memmove(held, held + 1, (worker->held_count - place) * sizeof *held);
}

static void give_back(struct sim *sim, struct sim_worker *worker, struct sim_attempt *held)
{
    const struct message returned = {.kind = MESSAGE_RETURNED, .attempt = held->attempt};
    if (worker->linked || worker->outbox.count)
        sim_queue_add(&worker->outbox, &returned);
    sim->totals.returned++;
    drop(worker, held);
}

static void recall(struct sim *sim, struct sim_worker *worker, const struct engine_attempt *key)
{
    struct sim_attempt *held = find(worker, key);
    if (held && held->waiting)
        give_back(sim, worker, held);
}

static void end(struct sim *sim, struct sim_worker *worker, struct sim_attempt *held);

/* It may be too late: an attempt that has ended by itself keeps its result. What has not begun ends at once. */
static void stop(struct sim *sim, struct sim_worker *worker, const struct engine_attempt *key)
{
    struct sim_attempt *held = find(worker, key);
    if (!held || held->attempt.ended)
        return;
    held->stopping = true;
    if (!held->waiting)
        return;
    held->waiting = false;
    held->attempt.ended = true;
    held->attempt.outcome = ATTEMPT_CANCELED;
    held->attempt.retryable = true;
    held->attempt.exit_code = -1;
    held->attempt.ended_ms = sim->now.wall_ms;
    if (sim->truth_count == TRUTHS_MAX)
        model_broken("the simulation cannot remember more attempts");
    sim->truths[sim->truth_count++] = (struct sim_truth){.fence = key->fence};
    end(sim, worker, held);
}

static void forget(struct sim_worker *worker, const struct engine_attempt *key)
{
    struct sim_attempt *held = find(worker, key);
    if (!held)
        return;
    if (!held->attempt.ended)
        model_broken("task %u: acknowledged before it ended", key->task);
    drop(worker, held);
}

void sim_worker_receive(struct sim *sim, struct sim_worker *worker)
{
    if (!worker->alive || !worker->inbox.count)
        return;
    struct message message = sim_queue_take(&worker->inbox);
    if (message.kind == MESSAGE_START)
        start(sim, worker, &message);
    else if (message.kind == MESSAGE_STOP)
        stop(sim, worker, &message.attempt);
    else if (message.kind == MESSAGE_RECALL)
        recall(sim, worker, &message.attempt);
    else
        forget(worker, &message.attempt);
}

static void choose_outcome(struct sim *sim, struct sim_attempt *held)
{
    struct engine_attempt *end = &held->attempt;
    uint32_t dice = sim_below(sim, 100);
    end->ended_ms = sim->now.wall_ms;
    if (held->stopping && dice < 70) {
        end->outcome = ATTEMPT_CANCELED;
        end->signal = 15;
    } else if (dice < 60 || !sim->faults) {
        end->outcome = ATTEMPT_SUCCEEDED;
        end->exit_code = 0;
    } else if (dice < 85) {
        end->outcome = ATTEMPT_FAILED;
        end->error_type = FAILURE_EXIT;
        end->exit_code = 1;
        end->error = "exit status 1";
        end->retryable = dice < 80;
    } else {
        end->outcome = ATTEMPT_TIMED_OUT;
        end->error_type = FAILURE_TIMEOUT;
        end->error = "the timeout passed";
    }
}

/* Once the faults have stopped, what belongs to a canceled run runs until it is told to end. */
static bool goes_on(const struct sim *sim, const struct sim_attempt *held)
{
    const struct model_run *run = model_find(&sim->model, held->attempt.run_id);
    return !sim->faults && !held->stopping && (!run || run->ended || run->run.cancel_ms);
}

static void end(struct sim *sim, struct sim_worker *worker, struct sim_attempt *held)
{
    *sim_truth_of(sim, held->attempt.fence) = (struct sim_truth){held->attempt.fence, true, held->attempt.outcome};
    sim_say(sim, "run %02x%02x task %u attempt %u: %s", held->attempt.run_id.bytes[6], held->attempt.run_id.bytes[7],
            held->attempt.task, held->attempt.number, state_attempt_name(held->attempt.outcome));
    struct message result = {.kind = MESSAGE_RESULT, .attempt = held->attempt};
    if (worker->linked || worker->outbox.count)
        sim_queue_add(&worker->outbox, &result);
}

/* One of the attempts ends; or a result is said again; or a start has waited for too long. */
void sim_worker_progress(struct sim *sim, struct sim_worker *worker)
{
    if (!worker->alive || !worker->held_count)
        return;
    struct sim_attempt *held = &worker->held[sim_below(sim, (uint32_t)worker->held_count)];
    if (held->attempt.ended && !sim_chance(sim, 10))
        return;
    if (held->waiting) {
        if (sim_chance(sim, 30))
            give_back(sim, worker, held);
        return;
    }
    if (!held->attempt.ended) {
        if (goes_on(sim, held))
            return;
        held->attempt.ended = true;
        choose_outcome(sim, held);
    }
    end(sim, worker, held);
    serve_waiting(sim, worker);
}

/* What has started is told of with the next result, or a little later: that may never have left the worker. */
static void lose_unsent(struct sim *sim, struct sim_worker *worker)
{
    struct queue *queue = &worker->outbox;
    while (queue->count && queue->items[queue->count - 1].kind != MESSAGE_HELLO && sim_chance(sim, 50))
        queue->count--;
}

/* With everything it ran. What it had said before may still be read; who is silent has said nothing. */
void sim_worker_die(struct sim *sim, struct sim_worker *worker)
{
    if (!worker->alive)
        return;
    sim_say(sim, "worker %u dies with %zu attempts", (uint32_t)(worker - sim->workers) + 1, worker->held_count);
    sim->totals.deaths++;
    worker->alive = false;
    worker->held_count = 0;
    sim_queue_clear(&worker->inbox);
    if (worker->awaited && sim_chance(sim, 70))
        sim_queue_clear(&worker->outbox);
    lose_unsent(sim, worker);
    if (sim->daemon != DAEMON_DOWN) {
        const struct message gone = {.kind = MESSAGE_GONE};
        sim_queue_add(&worker->outbox, &gone);
    }
}

static void lose_a_tail(struct sim *sim, struct sim_worker *worker)
{
    size_t arrives = sim_below(sim, (uint32_t)worker->inbox.count + 1);
    worker->linked = false;
    sim_queue_clear(&worker->outbox);
    while (arrives--)
        sim_worker_receive(sim, worker);
    sim_queue_clear(&worker->inbox);
    sim_queue_clear(&worker->outbox);
}

void sim_worker_break_link(struct sim *sim, struct sim_worker *worker)
{
    if (!worker->alive || !worker->linked)
        return;
    sim_say(sim, "the link of worker %u breaks", (uint32_t)(worker - sim->workers) + 1);
    sim->totals.breaks++;
    lose_a_tail(sim, worker);
    sim_worker_hello(sim, worker);
}

void sim_worker_cut(struct sim *sim, struct sim_worker *worker)
{
    if (worker->alive)
        lose_a_tail(sim, worker);
    else
        sim_queue_clear(&worker->outbox);
    worker->linked = worker->joined = worker->awaited = false;
}
