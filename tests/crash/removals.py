#!/usr/bin/env python3
"""Takes the code of each guarantee away, one piece at a time, and looks whether its tests fail.

    removals.py BUILD [--only G5,not-adopted,...] [--progress FILE]
    removals.py --check          every piece still stands where the table says, and every test is there
    removals.py --table          the table, as docs/reliability.md shows it

BUILD is a build directory with PAWL_CHECK (`make check-build`). A removal replaces text of one source file or of
several; the changed files are compiled as BUILD compiles the true ones and linked in front of the true libraries, so
the tree is not touched. First a removal's tests have to pass as things are; then each has to fail, and to say why: one
that hangs has seen nothing. A removal that one of its tests does not betray is a hole: exit status 1. With --progress
what was seen is kept in FILE and not looked at again, nor is a test that passed.
Tests: unit.<module>.<test>, sim (300 seeds), else a test below tests/blackbox."""
import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = "20"               # of the black-box tests: what never comes is waited for so long
TEST_S = 400
HUNG = "it did not come to an end"
SIM_SEEDS = "300"

LIFE, RUNS, LIMITS = "test_life.py::test_", "test_runs.py::test_", "test_limits.py::test_"
AGREEMENT = "test_agreement.py::test_all_that_is_shown_agrees"

# guarantee, name, [(file below src/, what stands there, what stands there instead)], tests that have to fail
REMOVALS = [
    ("G1", "no-sync", [("store/sqlite/sqlite_open.c", "PRAGMA synchronous = FULL;", "PRAGMA synchronous = OFF;")],
     ["unit.store.test_power"]),
    ("G1", "answered-before-it-is-durable", [("engine/engine.c", "engine->commands[done].batch <= batch->number",
                                              "engine->commands[done].batch <= batch->number + 1")],
     ["sim"]),
    ("G1", "failed-sync-tried-again", [("store/sqlite/sqlite_statement.c", "    if (is_full(db, result))\n",
                                        "    if (is_full(db, result) || io)\n")],
     ["test_refusals.py::test_a_failed_sync_ends_the_store"]),
    ("G2", "key-not-looked-up", [("store/sqlite/sqlite_commit.c",
                                  "if (key->created_ms - sqlite3_column_int64(find, 2) <= LIMIT_IDEMPOTENCY_MS) {",
                                  "if (0) {")],
     ["test_idempotency.py::test_across_restart_and_kill", "unit.store.test_conformance"]),
    ("G2", "key-not-recorded", [("store/sqlite/sqlite_write.c", "return write_key(store, &record->idempotency, err);",
                                 "return 0;")],
     ["test_idempotency.py::test_the_same_key_gives_the_same_run", "unit.store.test_conformance"]),
    ("G3", "children-of-a-dead-worker-live", [("worker/leftover.c",
                                               "code = record->cgroup[0] ? worker_cgroup_kill_all(record->cgroup, ret_found, err)\n"
                                               "                                 : kill_marked(record, ret_found, err);",
                                               "code = 0;")],
     ["unit.pool.test_real"]),
    ("G3", "silent-worker-taken-for-idle", [("engine/attempt.c", "index != NO_WORKER && engine->workers[index].awaited", "0")],
     ["unit.engine.test_recovery", "sim"]),
    ("G3", "stale-ends-taken", [("engine/attempt.c", "try->number != attempt->number ||\n        try->fence != attempt->fence)",
                                 "0)")],
     ["sim"]),
    ("G4", "loss-uses-up-an-attempt", [("engine/attempt.c", "        if (!engine_try_repeats_loss(run, try))\n",
                                        "        if (try->failures + try->lost >= task->retry.max_attempts)\n")],
     [LIFE + "a_killed_workers_tasks_are_lost[retry]", LIFE + "daemon_and_worker_killed"]),
    ("G4", "repeated-though-it-may-not", [("engine/attempt.c", "on_lost == DAG_ON_LOST_RETRY &&", "on_lost != 77 &&")],
     [LIFE + "a_killed_workers_tasks_are_lost[fail]"]),
    ("G4", "repeated-for-ever", [("engine/attempt.c", "try->lost <= LIMIT_LOST_RETRIES_MAX", "try->lost <= 1000")],
     [LIFE + "lost_too_often"]),
    ("G5", "not-adopted", [("pool/pool_scan.c", "    pool_link_meet(link, now_ms);\n}\n\nint pool_scan",
                            "    pool_link_part(link, \"of a former daemon\", 0, now_ms);\n}\n\nint pool_scan")],
     [LIFE + "kill_and_adoption", LIFE + "hand_over_and_adoption"]),
    ("G5", "workers-end-with-their-daemon", [("worker/link.c", "    if (worker->options->die_with_parent)\n        worker_end",
                                              "    worker_end")],
     [LIFE + "kill_and_adoption", LIFE + "hand_over_and_adoption"]),
    ("G5", "results-not-kept", [("worker/attempt.c", "    if (worker->ending)\n        forget(worker, attempt);\n    else\n        tell_result",
                                 "    if (worker->ending || !worker_link_is_up(worker))\n        forget(worker, attempt);\n    else\n        tell_result")],
     [LIFE + "kill_and_adoption"]),
    ("G5", "slow-worker-given-up", [("pool/pool_death.c", "            fall_silent(link);\n        if (link->fd < 0)",
                                     "            pool_link_part(link, \"it is slow\", 0, now_ms);\n        else if (link->fd < 0)")],
     ["unit.pool.test_pool", "test_reliability.py::test_a_stopped_worker_is_not_given_up"]),
    ("G5", "full-queue-is-the-end", [("pool/pool_link.c", "return passes(why) ? 0 : why;", "return why;")],
     ["unit.pool.test_pool"]),
    ("G6", "signal-is-success", [("worker/process.c",
                                  "worker_attempt_fail(attempt, FAILURE_SIGNAL, \"killed by signal %d (%s)\", number, name ? name : \"RT\");",
                                  "(void)name;")],
     [RUNS + "failures_say_why"]),
    ("G6", "exit-status-ignored", [("worker/process.c", "        else if (result->exit_code)\n", "        else if (0)\n")],
     [RUNS + "failures_say_why"]),
    ("G6", "unknown-is-success", [("engine/attempt.c", "        .outcome = ATTEMPT_LOST,\n", "        .outcome = ATTEMPT_SUCCEEDED,\n")],
     [LIFE + "a_killed_workers_tasks_are_lost[fail]", "sim"]),
    ("G7", "started-before-it-is-on-disk", [("engine/dispatch.c", "engine_effect(engine, &effect, batch);",
                                             "engine_effect(engine, &effect, 0);")],
     ["unit.engine.test_dispatch", "sim"]),
    ("G7", "too-early", [("engine/run.c", "if (run->waiting[dependent] || run->tasks",
                          "if (run->waiting[dependent] > 1 || run->tasks")],
     [RUNS + "dependencies_are_kept", "sim"]),
    ("G7", "ends-twice", [("store/sqlite/sqlite_statement.c",
                           "log = ?18 WHERE key = ?1 AND fence = ?2 AND state = 'running'\"", "log = ?18 WHERE key = ?1 AND fence = ?2\"")],
     ["unit.store.test_conformance"]),
    ("G8", "fence-not-checked", [("store/sqlite/sqlite_statement.c",
                                  "log = ?18 WHERE key = ?1 AND fence = ?2 AND", "log = ?18 WHERE key = ?1 AND ?2 = ?2 AND")],
     ["unit.store.test_conformance"]),
    ("G9", "covered-twice", [("store/sqlite/sqlite_fire.c", "covered = fire->from_ms <= dag.covered_ms || ", "covered = ")],
     ["unit.store.test_conformance"]),
    ("G9", "left-out", [("store/sqlite/sqlite_fire.c", " || dag.covered_ms < fire->behind_ms;", ";")],
     ["unit.store.test_conformance"]),
    ("G9", "missed-instants-forgotten", [("engine/fire.c", "paused ? 0 : made_up_for[catchup]", "0")],
     ["test_schedules.py::test_what_was_missed_is_made_up_for_once", "sim"]),
    ("G9", "restart-forgets-what-is-covered", [("engine/schedule.c", "    schedule->covered_ms = row->covered_ms;\n", "")],
     ["unit.engine.test_schedule", "sim"]),
    ("G9", "changed-beside-what-is-pending", [("engine/schedule.c", "schedule && (schedule->pending || schedule->changing)",
                                                "schedule && schedule->changing")], ["unit.engine.test_schedule_change"]),
    ("G10", "left-behind-and-alive", [("worker/process.c", "    look(worker, attempt);\n}\n\nstatic struct worker_attempt *attempt_of",
                                       "    finish(worker, attempt);\n}\n\nstatic struct worker_attempt *attempt_of")],
     [RUNS + "what_a_task_leaves_behind_is_ended", LIFE + "nothing_is_left_behind"]),
    ("G10", "files-of-dead-workers-stay", [("worker/leftover.c", "    worker_files_remove(dir, id, keep_log);\n", "")],
     ["unit.pool.test_pool"]),
    ("G11", "no-drain", [("server/core.c", "set_deadline(core, core->options.drain_ms);", "set_deadline(core, 0);")],
     [LIFE + "drain_waits_for_what_runs"]),
    ("G11", "starts-while-it-stops", [("server/core.c", "    engine_set_draining(core->engine, true);\n    set_deadline(core, core->options",
                                       "    set_deadline(core, core->options")],
     [LIFE + "drain_waits_for_what_runs"]),
    ("G11", "ready-while-it-stops", [("api/api_health.c", "picture.status.ready && !picture.status.draining", "picture.status.ready"),
                                      ("server/core.c", "shown.ready = core->phase == CORE_SERVING;", "shown.ready = true;")],
     [LIFE + "drain_waits_for_what_runs"]),
    ("G11", "hand-over-kills", [("server/core.c", "    pool_disconnect(core->pool);\n    core->phase = CORE_STOPPED;\n}\n\n/* What is not durable",
                                 "    pool_kill_all(core->pool);\n    pool_disconnect(core->pool);\n    core->phase = CORE_STOPPED;\n}\n\n/* What is not durable")],
     [LIFE + "hand_over_and_adoption"]),
    ("G11", "second-sigterm-ignored", [("server/serve.c", "core_kill(daemon->core);", "core_drain(daemon->core);")],
     [LIFE + "a_second_sigterm_ends_what_runs"]),
    ("G12", "never-full-of-tasks", [("engine/command.c", "engine->waiting_tasks + dag->task_count > engine->options.waiting_tasks_max", "0")],
     [LIMITS + "full_of_tasks", "unit.engine.test_command"]),
    ("G12", "never-full-of-runs", [("engine/command.c", "engine->births + engine->runs.count >= engine->options.active_runs_max", "0")],
     [LIMITS + "full_of_runs"]),
    ("G12", "slow-readers-kept", [("api/api_events.c", "api_event_ring_new(clock_wall_ms(), LIMIT_EVENT_BACKLOG_MAX)",
                                   "api_event_ring_new(clock_wall_ms(), 1000 * LIMIT_EVENT_BACKLOG_MAX)"),
                                  ("api/api_events.c", "events->weight + work->weight > LIMIT_EVENT_BACKLOG_MAX", "0"),
                                  ("api/api_events.c", "if (events->touch_count > LIMIT_EVENT_BACKLOG_MAX / 2)", "if (0)"),
                                  ("api/api_events.c", "if (events->touch_count > LIMIT_EVENT_BACKLOG_MAX)", "if (0)")],
     ["test_events.py::test_an_id_that_is_too_old_gives_a_reset"]),
    ("G13", "no-reserve", [("store/sqlite/sqlite_maintain.c", "made = posix_fallocate(fd, 0, store->reserve_bytes) == 0;", "made = true;")],
     ["unit.store.test_sqlite"]),
    ("G13", "no-way-back", [("store/sqlite/sqlite_maintain.c",
                             "if (!code && head->room != STORE_ROOM_OK && has_room(store) && store_sqlite_make_reserve(store))", "if (0)")],
     [LIMITS + "full_disk"]),
    ("G13", "starts-on-a-full-disk", [("engine/dispatch.c", "if (engine->draining || engine->holding)", "if (engine->draining)")],
     ["unit.engine.test_dispatch", "sim"]),
    ("G13", "what-did-not-fit-is-dropped", [("store/store_thread.c", "    if (thread->again)\n        return;\n", "")],
     ["unit.store.test_store_thread"]),
    ("G14", "tasks-outlive-the-lease", [("worker/worker.c", "if (now_ms >= worker->lease_ms) {", "if (0) {")],
     ["unit.worker.test_worker"]),
    ("G15", "snapshot-not-published", [("server/core.c", "            live_apply(core->live, batch, core->now.wall_ms);\n", "")],
     [AGREEMENT]),
    ("G15", "old-snapshot-kept", [("live/live.c", "            publish(live, run);\n",
                                   "            if (map_get(&live->by_id, run->run.id.bytes, sizeof run->run.id.bytes))\n"
                                   "                live_unref(run);\n            else\n                publish(live, run);\n")],
     [AGREEMENT, RUNS + "trigger_answers_at_once", "unit.live.test_live"]),
    ("G15", "ended-runs-shown-as-active", [("live/live.c", "            withdraw(live, run);\n", "")],
     ["unit.live.test_live", "sim"]),
    ("G15", "counts-not-published", [("server/core.c", "    core->shown.counts = counts;\n", "")],
     [AGREEMENT]),
]


class Build:
    def __init__(self, path):
        self.path = Path(path).resolve()
        with open(self.path / "compile_commands.json", encoding="utf-8") as file:
            self.compiles = {entry["file"]: entry["command"] for entry in json.load(file)}
        self.links = {}

    def compile(self, source, text, into):
        """The object of the changed text."""
        planted = into / (source.replace("/", "_"))
        planted.write_text(text, encoding="utf-8")
        true = str(ROOT / "src" / source)
        command = self.compiles[true].replace(true, str(planted))
        command = re.sub(r" -o \S+", f" -o {planted}.o -w -Wno-error", command)
        command = re.sub(r" -M[FT] \S+| -MD", "", command)
        subprocess.run(command, shell=True, check=True, cwd=self.path)
        return f"{planted}.o"

    def link(self, target, objects, into):
        """A program with these in front of the true ones."""
        if target not in self.links:
            out = subprocess.run(["ninja", "-C", self.path, "-t", "commands", target], check=True, capture_output=True,
                                 text=True).stdout
            self.links[target] = out.strip().splitlines()[-1]
        program = into / target
        command = self.links[target]
        assert f" -o {target} " in command, f"cannot see how {target} is linked"
        subprocess.run(command.replace(f" -o {target} ", f" -o {program} {' '.join(objects)} "), shell=True, check=True,
                       cwd=self.path)
        return program


def target_of(test):
    """(what is linked for it, its command but for the program)"""
    if test == "sim":
        return "sim", ["--count", SIM_SEEDS]
    if test.startswith("unit."):
        return test.replace(".", "_"), []
    return "pawl", None


def run(test, program):
    """What it says when it fails, else None."""
    environment = dict(os.environ, PAWL_SOURCE=str(ROOT), PAWL_TEST_PATIENCE=PATIENCE_S, PYTHONDONTWRITEBYTECODE="1")
    environment.setdefault("ASAN_OPTIONS", "detect_leaks=1")
    arguments = target_of(test)[1]
    if arguments is None:
        environment["PAWL"] = str(program)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", "--tb=line",
                   f"tests/blackbox/{test}"]
    else:
        command = [program, *arguments]
    child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        out = child.communicate(timeout=TEST_S)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return HUNG
    if child.returncode == 0:
        return None
    for pattern in (r"^(seed \d.*)$", r"^E +(\S.*)$", r"^\S+\.py:\d+: (.*)$", r"^\[  ERROR   \] --- (.*)$", r"(Assertion .*)$",
                    r"^FAILED (.*)$"):
        found = re.search(pattern, out, re.M)
        if found:
            return found.group(1)[:110]
    return (out.strip().splitlines() or ["it died"])[-1][:110]


def changed(patches):
    """{file: text} with the piece taken away."""
    texts = {}
    for source, old, new in patches:
        text = texts.get(source) or (ROOT / "src" / source).read_text(encoding="utf-8")
        if text.count(old) != 1:
            sys.exit(f"removals: the text to take away stands {text.count(old)} times in src/{source}: {old!r}")
        texts[source] = text.replace(old, new)
    return texts


def check():
    names = [name for _, name, _, _ in REMOVALS]
    assert len(set(names)) == len(names), "two removals have one name"
    for _, name, patches, tests in REMOVALS:
        changed(patches)
        for test in tests:
            kind, *rest = test.split(".")
            if kind == "unit":
                assert (ROOT / "tests/unit" / rest[0] / f"{rest[1]}.c").exists(), f"{name}: {test}"
            elif test != "sim":
                file, function = test.split("[")[0].split("::")
                assert f"def {function}(" in (ROOT / "tests/blackbox" / file).read_text(encoding="utf-8"), f"{name}: {test}"
    missing = {f"G{i}" for i in range(1, 16)} - {guarantee for guarantee, *_ in REMOVALS}
    assert not missing, f"nothing takes away the code of {missing}"


def table():
    print("| guarantee | what is taken away | what fails |\n|---|---|---|")
    for guarantee, name, patches, tests in REMOVALS:
        files = ", ".join(dict.fromkeys(f"`{source}`" for source, _, _ in patches))
        print(f"| {guarantee} | {name.replace('-', ' ')} ({files}) | {', '.join(f'`{test}`' for test in tests)} |")


def look(build, removal, passed):
    """{test: what it said} of those that failed; None when one fails as things are."""
    _, _, patches, tests = removal
    said = {}
    for test in tests:
        if test not in passed:
            failure = run(test, build.path / target_of(test)[0])
            if failure:
                sys.exit(f"removals: {test} fails though nothing was taken away: {failure}")
            passed.add(test)
    folder = Path(tempfile.mkdtemp(prefix="pawl-removal-"))
    try:
        objects = [build.compile(source, text, folder) for source, text in changed(patches).items()]
        for test in tests:
            said[test] = run(test, build.link(target_of(test)[0], objects, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return said


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?")
    parser.add_argument("--only", default="")
    parser.add_argument("--progress", type=Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    check()
    if options.table:
        table()
    if options.check or options.table:
        return 0
    if not options.build:
        parser.error("BUILD is needed")
    build, holes = Build(options.build), 0
    wanted = set(filter(None, options.only.split(",")))
    kept = json.loads(options.progress.read_text()) if options.progress and options.progress.exists() else {}
    done, passed = kept.get("seen", {}), set(kept.get("passed", ()))
    for removal in REMOVALS:
        guarantee, name, _, tests = removal
        if wanted and not wanted & {guarantee, name}:
            continue
        if set(done.get(name, {})) != set(tests):
            done[name] = look(build, removal, passed)
            if options.progress:
                options.progress.write_text(json.dumps({"seen": done, "passed": sorted(passed)}, indent=1))
        for test in tests:
            said = done[name][test]
            holes += said in (None, HUNG)
            print(f"{guarantee:4} {name:34} {test:70} {said or 'NOT SEEN'}", flush=True)
    print(f"{holes} removals were not seen" if holes else "all were seen")
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main())
