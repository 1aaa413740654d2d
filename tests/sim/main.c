/* sim [--store memory|sqlite] --seed N [--trace] | [--from N] [--count N] [--seconds N] [--progress FILE]
 *
 * One seed, or many in a row until one fails. The first line of a failure names the seed; `sim --seed N --trace` shows
 * what happened. With --store a real store gets the same batches as the model and must say the same. With --progress
 * the next seed to try is kept in FILE, so that the next call goes on there. */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "sim.h"

static struct sim sim;
static struct sim_totals totals;

static void __attribute__((format(printf, 1, 2), noreturn)) fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fflush(stdout);
    (void)fprintf(stderr, "seed %" PRIu64 ", step %u: ", sim.seed, sim.step);
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\nsee it: sim --seed %" PRIu64 " --trace\n", sim.seed);
    va_end(args);
    sim_store_remove(&sim);
    _exit(1);
}

/* An assertion of the engine, or worse. */
static void on_abort(int number)
{
    (void)number;
    char text[120];
    (void)fflush(stdout);
    int len = snprintf(text, sizeof text, "seed %" PRIu64 ", step %u: the engine stopped itself\n", sim.seed, sim.step);
    (void)!write(STDERR_FILENO, text, (size_t)len);
    _exit(1);
}

struct args {
    uint64_t seed, from, count;
    bool one, trace;
    int64_t seconds;
    const char *progress;
    enum sim_store_kind store;
};

static bool read_args(int argc, char **argv, struct args *args)
{
    *args = (struct args){.from = 1, .count = UINT64_MAX};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0) {
            args->trace = true;
            continue;
        }
        if (i + 1 == argc)
            return false;
        const char *value = argv[i + 1];
        uint64_t number = strtoull(value, NULL, 10);
        if (strcmp(argv[i], "--seed") == 0) {
            args->one = true;
            args->seed = number;
        } else if (strcmp(argv[i], "--from") == 0) {
            args->from = number;
        } else if (strcmp(argv[i], "--count") == 0) {
            args->count = number;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            args->seconds = (int64_t)number;
        } else if (strcmp(argv[i], "--store") == 0) {
            args->store = strcmp(value, "sqlite") == 0 ? SIM_STORE_SQLITE : SIM_STORE_MEMORY;
        } else if (strcmp(argv[i], "--progress") == 0) {
            args->progress = value;
        } else {
            return false;
        }
        i++;
    }
    return true;
}

static void keep_progress(const char *path, uint64_t next)
{
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file)
        return;
    (void)fprintf(file, "%" PRIu64 "\n", next);
    (void)fclose(file);
}

static uint64_t read_progress(const char *path, uint64_t from)
{
    FILE *file = path ? fopen(path, "r") : NULL;
    char text[32];
    if (file && fgets(text, sizeof text, file))
        from = strtoull(text, NULL, 10);
    if (file)
        (void)fclose(file);
    return from;
}

/* What happened, so that one sees that anything did. */
static void add_totals(void)
{
    totals.crashes += sim.totals.crashes;
    totals.deaths += sim.totals.deaths;
    totals.breaks += sim.totals.breaks;
    totals.runs += sim.totals.runs;
    totals.claims += sim.totals.claims;
    totals.ends += sim.totals.ends;
    totals.lost += sim.totals.lost;
    totals.withdrawals += sim.totals.withdrawals;
    totals.returned += sim.totals.returned;
    totals.letters += sim.totals.letters;
    for (int i = 0; i < FIRE_OUTCOME_COUNT; i++)
        totals.fires[i] += sim.totals.fires[i];
}

static void print_totals(void)
{
    (void)printf("%" PRIu64 " runs, %" PRIu64 " claims, %" PRIu64 " ends, %" PRIu64 " lost, %" PRIu64
                 " withdrawn, %" PRIu64 " returned, %" PRIu64 " letters; %" PRIu64 " crashes, %" PRIu64
                 " dead workers, %" PRIu64 " broken links; instants: %" PRIu64 " fired, %" PRIu64 " queued, %" PRIu64
                 " skipped\n",
                 totals.runs, totals.claims, totals.ends, totals.lost, totals.withdrawals,
                 totals.returned, totals.letters, totals.crashes, totals.deaths, totals.breaks,
                 totals.fires[FIRE_FIRED], totals.fires[FIRE_QUEUED], totals.fires[FIRE_SKIPPED]);
}

int main(int argc, char **argv)
{
    struct args args;
    if (!read_args(argc, argv, &args)) {
        (void)fprintf(stderr, "usage: sim [--store memory|sqlite] --seed N [--trace] | "
                              "--from N --count N --seconds N --progress FILE\n");
        return 2;
    }
    model_broken = fail;
    const struct sigaction action = {.sa_handler = on_abort};
    (void)sigaction(SIGABRT, &action, NULL);
    (void)sigaction(SIGSEGV, &action, NULL);
    if (args.one) {
        sim_run(&sim, args.seed, args.trace, args.store);
        return 0;
    }
    int64_t began_ms = clock_boot_ms();
    uint64_t seed = read_progress(args.progress, args.from), first = seed;
    for (; seed - first < args.count; seed++) {
        if (args.seconds && clock_boot_ms() - began_ms >= args.seconds * 1000)
            break;
        sim_run(&sim, seed, args.trace, args.store);
        add_totals();
        if (seed % 1000 == 0)
            keep_progress(args.progress, seed + 1);
    }
    keep_progress(args.progress, seed);
    (void)printf("%" PRIu64 " seeds from %" PRIu64 ", %lld ms\n", seed - first, first,
                 (long long)(clock_boot_ms() - began_ms));
    print_totals();
    return 0;
}
