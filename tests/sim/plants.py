#!/usr/bin/env python3
"""Plants bugs into the engine and into what nodes of a cluster do, one at a time, and looks whether the simulation sees each.

    tests/sim/plants.py BUILD [NAME...]

A plant is a replacement in one source file, which must fit exactly once; that of all is looked at, whichever are
named. The changed file is compiled as BUILD compiles the true one and linked in front of the true library; the
product's sources hold nothing for this. A plant that no seed of SEEDS (or RARE) betrays is a hole in the checks: exit status 1. Those of NODES are for the simulation of several
nodes; what the simulated store does by conditions on rows is planted into the simulated store. Needs the targets `sim`
and `sim_nodes` of BUILD.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

SEEDS = 3000
RARE = {"pause-without-schedule-lost": 20000, "join-leaves-its-guests": 8000}
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# name, file below src/, what stands there, what is planted instead
PLANTS = [
    ("ready-too-early", "engine/run.c",
     "if (run->waiting[dependent] || run->tasks", "if (run->waiting[dependent] > 1 || run->tasks"),
    ("skip-not-transitive", "engine/run.c", "stack[depth++] = dependent;", "stack[depth] = dependent;"),
    ("cancel-keeps-claims-ahead", "engine/run.c", "    engine_ahead_drop_run(engine, run);\n", ""),
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
    ("withdrawn-though-it-ran", "engine/attempt.c",
     "            if (engine->worker_died)\n", "            if (0)\n"),
    ("silent-worker-taken-for-idle", "engine/attempt.c",
     "index != NO_WORKER && engine->workers[index].awaited", "0"),
    ("unnamed-claims-do-not-wait", "engine/attempt.c", "unnamed && awaits_any(engine)", "0"),
    ("unnamed-claims-wait-for-ever", "engine/attempt.c", "if (!engine->unnamed_wait || awaits_any(engine))", "if (1)"),
    ("silent-death-forgotten", "engine/attempt.c", "    engine->worker_died |= engine->workers[index].awaited;\n", ""),
    ("awaited-for-ever", "engine/attempt.c", "    engine->workers[index].awaited = false;\n", ""),
    ("a-start-for-nobody", "engine/attempt.c",
     "        take_back_unsent(engine, worker);\n        withdraw_unseen", "        withdraw_unseen"),
    ("dead-worker-run-hangs", "engine/attempt.c",
     "    settle_unnamed(engine, now);\n    finish_all_done(engine, now);\n}\n\nvoid engine_adopt_run",
     "    settle_unnamed(engine, now);\n}\n\nvoid engine_adopt_run"),
    ("adopted-not-stopped", "engine/attempt.c", "if (try && !run->canceling) {", "if (try) {"),
    ("slot-never-freed", "engine/attempt.c", "    engine->workers[try->worker].running--;\n", ""),
    ("start-not-durable", "engine/dispatch.c",
     "engine_effect(engine, &effect, batch);", "engine_effect(engine, &effect, 0);"),
    ("on-lost-fail-claimed-ahead", "engine/dispatch.c",
     "run->dag->tasks[task].on_lost == DAG_ON_LOST_RETRY)", "true)"),
    ("draining-worker-fed", "engine/dispatch.c", "worker->up && !worker->draining &&", "worker->up &&"),
    ("one-slot-too-many", "engine/dispatch.c", "load_of(worker) < worker->slots", "load_of(worker) <= worker->slots"),
    ("hold-ignored", "engine/dispatch.c", "if (engine->draining || engine->holding)", "if (engine->draining)"),
    ("start-of-run-not-recorded", "engine/dispatch.c",
     "    start_run(engine, run, now);\n    struct try *try = claim", "    struct try *try = claim"),
    ("sent-not-stopped-by-cancel", "engine/ahead.c",
     "        if (ahead.worker != NO_WORKER) {\n            engine_ahead_begun(engine, run, engine_try(run, ahead.task));\n        } else {\n",
     "        {\n"),
    ("sent-withdrawn-unasked", "engine/ahead.c",
     "        if (ahead.worker != NO_WORKER)\n            continue;\n",
     "        if (ahead.worker != NO_WORKER)\n            engine->workers[ahead.worker].sent--, engine->sent--;\n"),
    ("sent-before-it-is-durable", "engine/dispatch.c",
     "if (ahead->batch > engine->committed ||",
     "if ("),
    ("returned-and-forgotten", "engine/ahead.c",
     "    engine_ready_push(engine, run, task);\n}",
     "    (void)run;\n}"),
    ("returned-not-heard", "engine/ahead.c",
     "        take_in_hand(engine, place);\n    } else if",
     "        ;\n    } else if"),
    ("canceled-and-returned-hangs", "engine/ahead.c",
     "        engine_run_finish_if_done(engine, run, now);\n",
     "        (void)now;\n"),
    ("sent-unseen-and-forgotten", "engine/attempt.c",
     "        engine_ahead_unseen(engine, index, held, held_count);\n",
     ""),
    ("sent-and-lost-forgotten", "engine/attempt.c",
     "    engine_ahead_lost(engine, index);\n",
     ""),
    ("sent-and-lost-starts-again", "engine/attempt.c",
     "    engine_ahead_lost(engine, index);\n",
     "    engine_ahead_unseen(engine, index, NULL, 0);\n"),
    ("sent-end-refused", "engine/attempt.c",
     "        engine_ahead_begun(engine, run, try);\n",
     "        ;\n"),
    ("sent-unsent-taken-back", "engine/attempt.c",
     "&& !engine_ahead_unsent(engine, run, effect->task))",
     ")"),
    ("refused-run-begins", "engine/command.c",
     "            engine_run_free(engine, birth);\n        birth = NULL;\n", "            ;\n"),
    ("births-not-counted-down", "engine/command.c", "    if (birth)\n        engine->births--;\n", ""),
    ("resolved-by-nobody", "engine/command.c",
     "    record_resolution(engine, command, run, group, now);\n", ""),
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
    ("overlap-ignored", "engine/fire.c", "rule->overlap == DAG_OVERLAP_ALLOW || !busy", "1"),
    ("overlap-of-queued-ignored", "engine/fire.c", "return !alone || !active;", "return true;"),
    ("catchup-none-makes-up", "engine/fire.c", "[DAG_CATCHUP_LATEST] = 1,", "[0] = 1, [DAG_CATCHUP_LATEST] = 1,"),
    ("catchup-all-forgets", "engine/fire.c", "paused ? 0 : made_up_for[catchup]", "0"),
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
    ("update-drops-what-is-due", "engine/command.c", "    if (stand == SCHEDULE_UNDECIDED) {\n", "    if (0) {\n"),
    ("resume-forgets-the-pause", "engine/schedule.c",
     "        engine_fire_cover(engine, schedule, now);\n    enum schedule_stand stand = SCHEDULE_DECIDED;\n",
     "        return SCHEDULE_DECIDED;\n    enum schedule_stand stand = SCHEDULE_DECIDED;\n"),
    ("update-though-what-is-due-may-be-refused", "engine/schedule.c",
     "schedule && (schedule->pending || schedule->changing)", "schedule && schedule->changing"),
    ("pause-without-schedule-lost", "engine/schedule.c", "comes || schedule->paused ||", "comes ||"),
    ("room-again-unnoticed", "engine/dispatch.c", "engine->schedules_stir |= engine->holding && !hold;", ""),
    ("live-keeps-ended-runs", "live/live.c", "            withdraw(live, run);\n", ""),
    ("live-shows-refused-runs", "live/live.c",
     "if (!record->group || !batch->verdicts[record->group - 1].refused)", "if (1)"),
    ("live-shows-withdrawn-claims", "live/live.c", "        task->attempt = row->number - 1;\n", ""),
    ("live-miscounts", "live/live.c", "    run->counts[task->state]--;\n", ""),
]

# The same for sim_nodes, the file below the root.
NODES = [
    ("missing-fence", "tests/sim/nodes/shop.c",
     "    if (life->dead)\n        return ERROR_STORE_FENCED;\n    if (batch", "    if (batch"),
    ("lease-by-local-clock", "tests/sim/nodes/shop.c",
     "    life->lease_until_ms = sim.now_ms + LEASE_MS;\n    life->draining",
     "    life->lease_until_ms = sim.now_ms + node->wall_ms + LEASE_MS;\n    life->draining"),
    ("claim-without-row-check", "tests/sim/nodes/shop.c",
     "row->node != node->store.epoch || row->stage != STORE_OFFER_OFFERED ||", "row->node != node->store.epoch ||"),
    ("taken-from-the-living", "tests/sim/nodes/shop.c",
     "sim.model.runs[i]->ended || !shop_is_dead(sim.owners[i].epoch))",
     "sim.model.runs[i]->ended || sim.owners[i].epoch == node->store.epoch)"),
    ("withdrawn-though-taken", "tests/sim/nodes/shop.c",
     "        if (row->stage == STORE_OFFER_OFFERED)\n            row->stage = STORE_OFFER_REFUSED;",
     "        row->stage = STORE_OFFER_REFUSED;"),
    ("lost-while-its-node-lives", "tests/sim/nodes/shop.c",
     "sim.offers[i].stage <= STORE_OFFER_TAKEN && shop_is_dead(sim.offers[i].node))",
     "sim.offers[i].stage <= STORE_OFFER_TAKEN)"),
    ("join-takes-what-was-never-read", "tests/sim/nodes/shop.c",
     "(owner->given || has_claims(sim.model.runs[i])) && !read;", "false;"),
    ("join-reads-again-what-it-had-begun", "tests/sim/nodes/shop.c",
     "(owner->given || has_claims(sim.model.runs[i])) && !read;", "owner->given || (has_claims(sim.model.runs[i]) && !read);"),
    ("a-record-not-behind-what-is-covered", "src/engine/fire.c",
     "        .behind_ms = covers(&fire) ? schedule->covered_ms : 0,\n", ""),
    ("join-leaves-its-guests", "tests/sim/nodes/shop.c",
     "            sim.offers[i].node = sim.epochs;\n", "            sim.offers[i].node = before;\n"),
    ("lease-ends-too-late", "src/server/cluster.c",
     "return before_ms + lease_ms - lease_ms / 5;", "return before_ms + lease_ms * 3;"),
    ("no-lease-until-renewed", "src/server/cluster.c",
     "    cluster->lease_ms = server_cluster_lease(options->joined_ms, options->lease_ms);\n    core_set_lease(core, cluster->lease_ms);\n", ""),
    ("read-twice", "src/server/cluster.c", "if (is_posted(cluster, active->run.id))", "if (0)"),
    ("cancels-not-taken", "src/server/cluster.c", "        core_post(cluster->core, command);\n", "        mem_free(command);\n"),
    ("given-to-nobody", "src/server/cluster.c",
     "    int code = store_cluster_give(cluster->link, cluster->giving, cluster->giving_count, cluster->giving_to, err);",
     "    int code = 0;"),
    ("row-removed-too-early", "src/server/cluster_offers.c",
     "        hearing = hearing_new(NEWS_ENDED, &row->attempt);\n",
     "        hearing = hearing_new(NEWS_ENDED, &row->attempt);\n        on_done(cluster, &hearing->attempt);\n"),
    ("stop-not-told", "src/server/cluster_offers.c",
     "    tell(context, telling_new(ORDER_STOP, key));", "    (void)context;\n    (void)key;"),
    ("untaken-not-taken-back", "src/server/cluster_offers.c",
     "    if (!code && untaken)\n        code = store_offers_withdraw", "    if (0)\n        code = store_offers_withdraw"),
    ("inherited-not-followed", "src/server/cluster_offers.c",
     "        known->told = arrival->offers.items[i].stage != STORE_OFFER_TAKEN;", "        known->told = true;"),
    ("held-elsewhere-is-lost", "src/server/core_offers.c",
     "if (offers[i].stage != STORE_OFFER_OFFERED && offers[i].stage != STORE_OFFER_REFUSED)", "if (0)"),
    ("guest-acknowledged-unheard", "src/engine/guest.c", "    guest->ended = true;\n    return true;", "    drop(engine, guest);\n    return true;"),
    ("refused-keeps-its-slot", "src/engine/offer.c", "    engine_attempt_take_back(engine, run, attempt->task);\n", ""),
    ("unread-claim-is-lost", "src/engine/attempt.c", "if (engine_is_node(try->claimed_by, NULL))\n", "if (0)\n"),
]


def compile_command(build, source):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        for entry in json.load(file):
            if entry["file"] == source:
                return entry["command"]
    sys.exit(f"plants: {build} does not compile {source}")


def link_command(build, target):
    out = subprocess.run(["ninja", "-C", build, "-t", "commands", target], check=True, capture_output=True, text=True)
    command = out.stdout.strip().splitlines()[-1]
    if f" -o {target} " not in command:
        sys.exit("plants: cannot see how the simulation is linked")
    return command


def wrapped(path, planted, folder):
    """Of a file that the simulation includes: the source to compile as it, and a copy that includes the planted one."""
    wrapper = os.path.join(ROOT, "tests/sim/nodes/real_" + os.path.basename(path))
    with open(wrapper, encoding="utf-8") as file:
        text = file.read()
    copy = os.path.join(folder, "wrapped.c")
    with open(copy, "w", encoding="utf-8") as file:
        file.write(text.replace(path.removeprefix("src/"), planted))
    return wrapper, copy


def planted_text(plant):
    name, path, old, new = plant
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        text = file.read()
    if text.count(old) != 1:
        sys.exit(f"plants: {name}: the text to replace stands {text.count(old)} times in {path}")
    return text.replace(old, new)


def betrayed(build, folder, plant, target):
    """The line in which the simulation says what it saw, or None."""
    name, path = plant[:2]
    source = os.path.join(ROOT, path)
    planted = os.path.join(folder, name + ".c")
    with open(planted, "w", encoding="utf-8") as file:
        file.write(planted_text(plant))
    compiled = planted
    if target == "sim_nodes" and os.path.exists(os.path.join(ROOT, "tests/sim/nodes/real_" + os.path.basename(path))):
        source, compiled = wrapped(path, planted, folder)
    command = compile_command(build, source)
    command = command.replace(" -c ", f" -I{os.path.dirname(source)} -c ")
    command = command.replace(f" -c {source}", f" -c {compiled}")
    command = re.sub(r" -o \S+", f" -o {planted}.o -w -Wno-error", command)
    command = re.sub(r" -M[FT] \S+| -MD", "", command)
    subprocess.run(command, shell=True, check=True, cwd=build)
    program = os.path.join(folder, name)
    link = link_command(build, target)
    own = f"CMakeFiles/{target}.dir/{os.path.relpath(source, ROOT)}.o"
    link = link.replace(own, f"{planted}.o") if own in link else link.replace(f" -o {target} ", f" {planted}.o -o {target} ")
    subprocess.run(link.replace(f" -o {target} ", f" -o {program} "), shell=True, check=True, cwd=build)
    try:
        run = subprocess.run([program, "--count", str(RARE.get(name, SEEDS))], capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return "it did not come to an end"
    if run.returncode == 0:
        return None
    lines = run.stderr.strip().splitlines()
    return next((line for line in lines if line.startswith("seed ")), lines[0] if lines else "it died")


def main():
    build = os.path.abspath(sys.argv[1])
    wanted = sys.argv[2:]
    plants = [((name, "src/" + path, old, new), "sim") for name, path, old, new in PLANTS]
    plants += [(plant, "sim_nodes") for plant in NODES]
    for plant, _ in plants:
        planted_text(plant)
    plants = [(plant, target) for plant, target in plants if not wanted or plant[0] in wanted]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        for plant, target in plants:
            said = betrayed(build, folder, plant, target)
            missed += said is None
            print(f"{plant[0]:32} {said or 'NOT SEEN'}", flush=True)
    print(f"{len(plants) - missed} of {len(plants)} planted bugs were seen")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
