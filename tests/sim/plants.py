#!/usr/bin/env python3
"""Plants bugs into the engine, one at a time, and looks whether the simulation sees each.

    tests/sim/plants.py BUILD [NAME...]

A plant is a replacement in one source file, which must fit exactly once. The changed file is compiled as BUILD
compiles the true one and linked in front of the true library; the product's sources hold nothing for this. A plant
that no seed of SEEDS betrays is a hole in the checks: exit status 1. Needs the target `sim` of BUILD.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

SEEDS = 3000
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# name, file below src/, what stands there, what is planted instead
PLANTS = [
    ("ready-too-early", "engine/run.c",
     "if (run->waiting[dependent] || run->tasks", "if (run->waiting[dependent] > 1 || run->tasks"),
    ("skip-not-transitive", "engine/run.c", "stack[depth++] = dependent;", "stack[depth] = dependent;"),
    ("cancel-keeps-claims-ahead", "engine/run.c", "    drop_ahead(engine, run);\n", ""),
    ("cancel-stops-nothing", "engine/run.c", "engine_attempt_stop(engine, run, engine_try(run, i));", ";"),
    ("cancel-hides-success", "engine/run.c",
     "if (run->cancel_ms && run->counts[TASK_CANCELED])", "if (run->cancel_ms)"),
    ("cancel-forgets-what-waits", "engine/run.c",
     "if (run->canceling && run->left && !run->counts[TASK_RUNNING])", "if (0)"),
    ("cancel-not-recorded", "engine/run.c", "record->run.cancel_ms = cancel_ms;", "record->run.cancel_ms = 0;"),
    ("one-attempt-too-many", "engine/attempt.c",
     "try->failures >= task->retry.max_attempts", "try->failures > task->retry.max_attempts"),
    ("one-loss-too-many", "engine/attempt.c",
     "try->lost <= LIMIT_LOST_RETRIES_MAX", "try->lost <= LIMIT_LOST_RETRIES_MAX + 1"),
    ("on-lost-ignored", "engine/attempt.c", "on_lost == DAG_ON_LOST_RETRY &&", "on_lost != 77 &&"),
    ("stale-ends-taken", "engine/attempt.c",
     "try->number != attempt->number ||\n        try->fence != attempt->fence)", "0)"),
    ("acknowledged-too-early", "engine/attempt.c",
     "engine_effect(engine, &ack, engine_batch_now(engine));", "engine_effect(engine, &ack, 0);"),
    ("unknown-is-success", "engine/attempt.c", ".outcome = ATTEMPT_LOST,\n", ".outcome = ATTEMPT_SUCCEEDED,\n"),
    ("no-letter", "engine/attempt.c", "    write_letter(engine, run, try, end, now);\n", ""),
    ("withdrawn-keeps-its-number", "engine/attempt.c", "try->number--;", ";"),
    ("withdrawn-though-it-ran", "engine/attempt.c", "} else if (unseen) {", "} else if (1) {"),
    ("silent-worker-taken-for-idle", "engine/attempt.c",
     "index != NO_WORKER && engine->workers[index].awaited", "0"),
    ("unnamed-claims-do-not-wait", "engine/attempt.c", "unnamed && awaits_any(engine)", "0"),
    ("unnamed-claims-wait-for-ever", "engine/attempt.c", "if (!engine->unnamed_wait || awaits_any(engine))", "if (1)"),
    ("silent-death-forgotten", "engine/attempt.c", "    engine->worker_died |= engine->workers[index].awaited;\n", ""),
    ("awaited-for-ever", "engine/attempt.c", "    engine->workers[index].awaited = false;\n", ""),
    ("a-start-for-nobody", "engine/attempt.c",
     "        take_back_unsent(engine, worker);\n        withdraw_unseen", "        withdraw_unseen"),
    ("dead-worker-run-hangs", "engine/attempt.c",
     "    engine->urgent = true;\n    finish_all_done(engine, now);\n", "    engine->urgent = true;\n"),
    ("adopted-not-stopped", "engine/attempt.c", "if (try && !run->canceling) {", "if (try) {"),
    ("slot-never-freed", "engine/attempt.c", "    engine->workers[try->worker].running--;\n", ""),
    ("start-not-durable", "engine/dispatch.c",
     "engine_effect(engine, &effect, batch);", "engine_effect(engine, &effect, 0);"),
    ("on-lost-fail-claimed-ahead", "engine/dispatch.c",
     "run->dag->tasks[task].on_lost == DAG_ON_LOST_RETRY)", "true)"),
    ("draining-worker-fed", "engine/dispatch.c", "return worker->up && !worker->draining;", "return worker->up;"),
    ("one-slot-too-many", "engine/dispatch.c", "worker->running < worker->slots", "worker->running <= worker->slots"),
    ("hold-ignored", "engine/dispatch.c", "if (engine->draining || engine->holding)", "if (engine->draining)"),
    ("start-of-run-not-recorded", "engine/dispatch.c",
     "    start_run(engine, run, now);\n    struct try *try = claim", "    struct try *try = claim"),
    ("refused-run-begins", "engine/command.c",
     "            engine_run_free(engine, birth);\n        birth = NULL;\n", "            ;\n"),
    ("births-not-counted-down", "engine/command.c", "    if (birth)\n        engine->births--;\n", ""),
    ("resolved-by-nobody", "engine/command.c",
     "    record_resolution(engine, command, run, group, now);\n    record_birth", "    record_birth"),
    ("answered-too-early", "engine/engine.c",
     "engine->commands[done].batch <= batch->number", "engine->commands[done].batch <= batch->number + 1"),
    ("restore-forgets-failures", "engine/recover.c", "try->failures += row", "try->failures += 0 && row"),
    ("restore-forgets-losses", "engine/recover.c", "try->lost += row->state", "try->lost += 0 && row->state"),
    ("restore-forgets-the-cancel", "engine/recover.c",
     "run->canceling = row->cancel_ms != 0;", "run->canceling = false;"),
    ("restore-forgets-the-retry", "engine/recover.c",
     "if (last->retry_ms && !run->canceling) {", "if (last->retry_ms && !run->canceling) {\n        return;"),
    ("restore-skips-nothing", "engine/recover.c", "            engine_run_skip_dependents(engine, run, i);", "            ;"),
    ("restore-forgets-the-plan", "engine/recover.c", "        if (fits)\n", "        if (0)\n"),
    ("timer-lost", "engine/run.c", "            make_ready(engine, run, timer.task);", "            ;"),
    ("ready-not-cleared", "engine/ready.c", "    run->ready_count = 0;\n", ""),
    ("instant-missed", "engine/fire.c", "    schedule->covered_ms = to_ms;\n", "    schedule->covered_ms = to_ms + 60000;\n"),
    ("instant-decided-again", "engine/fire.c",
     "    schedule->covered_ms = time_ms;\n    return true;", "    return true;"),
    ("overlap-ignored", "engine/fire.c", "rule->overlap == DAG_OVERLAP_ALLOW || !busy", "1"),
    ("overlap-of-queued-ignored", "engine/fire.c", "alone ? schedule->active || schedule->elsewhere", "alone ? 0"),
    ("catchup-none-makes-up", "engine/fire.c", "[DAG_CATCHUP_LATEST] = 1,", "[0] = 1, [DAG_CATCHUP_LATEST] = 1,"),
    ("catchup-all-forgets", "engine/fire.c", "schedule->paused ? 0 : made_up_for[catchup]", "0"),
    ("catchup-latest-forgets", "engine/fire.c",
     "        if (late && ret_due->fire_count > missed_max)\n            skip_oldest(ret_due, ret_due->fire_count - missed_max);",
     "        if (late)\n            skip_oldest(ret_due, ret_due->fire_count);"),
    ("late-too-soon", "engine/fire.c", "> LIMIT_LATE_MS;", "> 2000;"),
    ("covers-while-undecided", "engine/fire.c", "!schedule->pending &&", "1 &&"),
    ("covers-while-changing", "engine/fire.c", "&&\n                !schedule->changing;", ";"),
    ("not-taken-back", "engine/fire.c", "        schedule->covered_ms = fire->before_ms;\n", ""),
    ("queued-not-taken-back", "engine/fire.c",
     "        engine_fire_queue_put(queue_of(schedule, fire->trigger), fire->fire);\n", ""),
    ("paused-fires-what-waits", "engine/fire.c", "    if (!schedule->paused) {\n        release", "    if (1) {\n        release"),
    ("restart-forgets-what-waits", "engine/schedule.c", "i < row->queued_count", "i < 0"),
    ("restart-forgets-the-pause", "engine/schedule.c", "schedule->paused = row->paused;", "schedule->paused = false;"),
    ("restart-forgets-what-is-covered", "engine/schedule.c", "schedule->covered_ms = row->covered_ms;", ""),
    ("update-drops-what-is-due", "engine/schedule.c", "    if (undecided)\n        return false;\n", ""),
    ("resume-forgets-the-pause", "engine/schedule.c",
     "        engine_fire_cover(engine, schedule, now);\n    undecided |=", "        ;\n    undecided = 0 && "),
    ("pause-without-schedule-lost", "engine/schedule.c", "comes || schedule->paused ||", "comes ||"),
    ("room-again-unnoticed", "engine/dispatch.c", "engine->schedules_stir |= engine->holding && !hold;", ""),
    ("live-keeps-ended-runs", "live/live.c", "            withdraw(live, run);\n", ""),
    ("live-shows-refused-runs", "live/live.c",
     "if (!record->group || !batch->verdicts[record->group - 1].refused)", "if (1)"),
    ("live-shows-withdrawn-claims", "live/live.c", "        task->attempt = row->number - 1;\n", ""),
    ("live-miscounts", "live/live.c", "    run->counts[task->state]--;\n", ""),
]


def compile_command(build, source):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        for entry in json.load(file):
            if entry["file"] == source:
                return entry["command"]
    sys.exit(f"plants: {build} does not compile {source}")


def link_command(build):
    out = subprocess.run(["ninja", "-C", build, "-t", "commands", "sim"], check=True, capture_output=True, text=True)
    command = out.stdout.strip().splitlines()[-1]
    if " -o sim " not in command:
        sys.exit("plants: cannot see how the simulation is linked")
    return command


def betrayed(build, folder, plant):
    """The line in which the simulation says what it saw, or None."""
    name, path, old, new = plant
    source = os.path.join(ROOT, "src", path)
    with open(source, encoding="utf-8") as file:
        text = file.read()
    if text.count(old) != 1:
        sys.exit(f"plants: {name}: the text to replace stands {text.count(old)} times in src/{path}")
    planted = os.path.join(folder, name + ".c")
    with open(planted, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new))
    command = compile_command(build, source).replace(source, planted)
    command = re.sub(r" -o \S+", f" -o {planted}.o -w -Wno-error", command)
    command = re.sub(r" -M[FT] \S+| -MD", "", command)
    subprocess.run(command, shell=True, check=True, cwd=build)
    program = os.path.join(folder, name)
    subprocess.run(link_command(build).replace(" -o sim ", f" -o {program} {planted}.o "), shell=True, check=True,
                   cwd=build)
    try:
        run = subprocess.run([program, "--count", str(SEEDS)], capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return "it did not come to an end"
    if run.returncode == 0:
        return None
    lines = run.stderr.strip().splitlines()
    return next((line for line in lines if line.startswith("seed ")), lines[0] if lines else "it died")


def main():
    build = os.path.abspath(sys.argv[1])
    wanted = sys.argv[2:]
    plants = [plant for plant in PLANTS if not wanted or plant[0] in wanted]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        for plant in plants:
            said = betrayed(build, folder, plant)
            missed += said is None
            print(f"{plant[0]:32} {said or 'NOT SEEN'}", flush=True)
    print(f"{len(plants) - missed} of {len(plants)} planted bugs were seen")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
