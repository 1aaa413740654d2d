#!/usr/bin/env python3
"""make crash: kills the daemon and its workers at named points and at random moments, starts them again, and lets
checker.py compare the ledger that the tasks wrote with what the API says.

    campaign.py [--kills N] [--seconds S] [--seed N] [--progress FILE] [--no-workers]

A round is a fresh data directory, a number of kills (each with new runs on top, also during recovery), a last start
without kills in which everything has to end, and the check. Between two kills the store may be turned back into that of
an older version, so that the next start has to migrate it, is killed at that, and finds work that was running.
Round R of seed N is repeated by --seed N --round R. With --progress the next round and the sums are kept in FILE, and
the next call goes on there. The last line says how many kills there were and how many violations; exit status 1 if any.
PAWL names the program; it may be a copy from anywhere."""
import argparse
import datetime
import http.client
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import checker
import downgrade

HERE = Path(__file__).resolve().parent
PAWL = str(Path(os.environ.get("PAWL", HERE.parent.parent / "build" / "pawl")).resolve())
KILLS_PER_ROUND = 20

# name: (who, function of faults.h, calls of it that are worth counting to). Small numbers are tried more often, and
# those are met while the daemon recovers.
POINTS = {
    "commit-write": ("serve", "pwrite", 300), "commit-sync": ("serve", "fdatasync", 45),
    "commit-statement": ("serve", "sqlite3_step", 400), "transaction": ("serve", "sqlite3_exec", 30),
    "checkpoint": ("serve", "sqlite3_wal_checkpoint_v2", 5), "store-file": ("serve", "ftruncate", 8),
    "directory-sync": ("serve", "fsync", 6), "file": ("serve", "open", 45), "folder": ("serve", "mkdir", 6),
    "rename": ("serve", "rename", 1), "remove": ("serve", "unlink", 18), "lock": ("serve", "flock", 2),
    "spawn-worker": ("serve", "posix_spawn", 3), "watch-worker": ("serve", "pidfd_open", 3),
    "adopt": ("serve", "connect", 3), "hear-worker": ("serve", "recvmsg", 40), "tell-worker": ("serve", "tell", 30),
    "request": ("serve", "recv", 40), "answer": ("serve", "send", 25), "answer-body": ("serve", "sendmsg", 15),
    "log": ("serve", "write", 80), "turn": ("serve", "epoll_wait", 200),
    "worker-start": ("worker", "open", 18), "worker-record": ("worker", "posix_fallocate", 1),
    "spawn": ("worker", "clone3", 8), "output": ("worker", "pipe2", 6), "read-output": ("worker", "read", 30),
    "reap": ("worker", "waitid", 12), "hear-daemon": ("worker", "recv", 14), "tell-daemon": ("worker", "tell", 16),
    "meet-daemon": ("worker", "accept4", 2), "cgroup": ("worker", "mkdir", 4), "worker-turn": ("worker", "epoll_wait", 40),
    "worker-ends": ("worker", "unlink", 6),
}
MIGRATION_POINTS = {"transaction": 8, "commit-write": 60, "commit-sync": 8, "commit-statement": 30, "store-file": 4}


def task(ms, dependencies=(), code=0, lines=3, max_attempts=1, on_lost="retry"):
    return {"ms": ms, "dependencies": list(dependencies), "exit": code, "lines": lines, "max_attempts": max_attempts,
            "on_lost": on_lost}


DAGS = {
    "chain": {f"c{i}": task(5, [f"c{i - 1}"] if i else []) for i in range(6)},
    "fan": {"first": task(5), **{f"f{i}": task(10 + 5 * i, ["first"], lines=50) for i in range(6)},
            "last": task(1, [f"f{i}" for i in range(6)])},
    "retries": {"bad": task(5, code=3, max_attempts=3), "after": task(1, ["bad"]), "beside": task(20),
                "below": task(5, ["beside"])},
    "careful": {f"p{i}": task(15, [f"p{i - 1}"] if i else [], on_lost="fail") for i in range(4)},
    "slow": {"a": task(150, lines=500), "b": task(250), "c": task(5, ["a", "b"])},
    "tick": {"t": task(5), "u": task(1, ["t"])},
}
SCHEDULED = "tick"      # fires every minute, and by backfills
BACKFILL_MINUTES = 6


def yaml_of(name, tasks, program, ledger_dir):
    lines = [f"name: {name}"]
    if name == SCHEDULED:
        lines.append('schedule: {cron: "* * * * *", overlap: allow, catchup: all}')
    lines.append("tasks:")
    for task_id, t in tasks.items():
        command = json.dumps([program, ledger_dir, str(t["ms"]), str(t["exit"]), str(t["lines"])])
        retry = f", retry: {{maxAttempts: {t['max_attempts']}, initialDelay: 20ms}}" if t["max_attempts"] > 1 else ""
        lines.append(f"  - {{id: {task_id}, type: shell, onLost: {t['on_lost']}, command: {command}, "
                     f"dependencies: {json.dumps(t['dependencies'])}{retry}}}")
    return "\n".join(lines) + "\n"


class Died(Exception):
    """The daemon is gone, as it should be."""


class Daemon:
    def __init__(self, round_, environment, blind=False):
        """blind: does not wait until it is there"""
        self.marks = round_.path / "marks"
        self.mark = self.marks / "mark"
        self.marks.mkdir(exist_ok=True)
        self.log = open(round_.path / "log", "ab")
        self.process = subprocess.Popen(
            [PAWL, "serve", "--data", round_.path / "data", "--listen", "127.0.0.1:0", "--workers", "2", "--slots", "2"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log,
            env={**os.environ, **environment, "PAWL_FAULT_MARK": str(self.mark)})
        line = "" if blind else self.process.stdout.readline().decode()
        found = re.match(r"listening on http://([^:]+):(\d+)", line)
        self.address = (found[1], int(found[2])) if found else None

    def call(self, method, path, body=None, headers=None):
        if not self.address:
            raise Died
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            text = None if body is None else json.dumps(body)
            sent = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, text, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException):
            raise Died from None
        finally:
            connection.close()

    def get(self, path):
        status, body = self.call("GET", path)
        return json.loads(body) if status == 200 else None

    def wait_ended(self, run_id, seconds=60):
        """RunStatus once it has ended, or as it is when no event comes for so long: hangs on the run's events."""
        if not self.address:
            raise Died
        connection = http.client.HTTPConnection(*self.address, timeout=seconds)
        try:
            connection.request("GET", f"/api/v1/runs/{run_id}/events")
            events = connection.getresponse()
            while True:
                status = self.get(f"/api/v1/runs/{run_id}")
                if status is None or status["completedAt"]:
                    return status
                while True:
                    line = events.readline()
                    if not line:
                        raise Died
                    if line.startswith(b"event: run") or line.startswith(b"event: reset"):
                        break
        except TimeoutError:
            return self.get(f"/api/v1/runs/{run_id}")
        except (OSError, http.client.HTTPException):
            raise Died from None
        finally:
            connection.close()

    def take_met(self, who):
        """The points that processes have met since it was asked: NAME:WHEN."""
        names = {(point[0], point[1]): name for name, point in POINTS.items()}
        for mark in sorted(self.marks.glob(f"mark.{who}.*")):
            function, _, what = mark.read_text().partition(":")
            mark.unlink()
            yield f"{names.get((who, function), function)}:{what.removeprefix('kill-')}"

    def kill(self):
        self.process.kill()
        self.end()

    def end(self):
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


class Round:
    def __init__(self, path, seed, options):
        self.path = path
        self.random = random.Random(seed)
        self.options = options
        self.runs = {}              # id -> DAG name
        self.keys = {}              # Idempotency-Key -> DAG name: asked for, no answer yet
        self.answers = {}           # Idempotency-Key -> run id
        self.dags = {}              # name -> id
        self.backfill = None        # (first, last) instant asked for
        self.backfilled = False
        self.violations = []
        self.kills = Counter()
        self.kills_workers = options.workers and self.random.random() < 0.7
        self.workers_killed = False # what was lost may have been lost by that
        self.migrated = False
        self.ruled_out = set()      # runs that were canceled
        self.worker_ids = set()
        (path / "ledger").mkdir()

    def make_dags(self, daemon):
        for name, tasks in DAGS.items():
            if name in self.dags:
                continue
            yaml = yaml_of(name, tasks, str(self.options.ledger), str(self.path / "ledger"))
            status, body = daemon.call("POST", "/api/v1/dags", {"name": name, "yaml": yaml})
            if status == 409:
                self.dags[name] = daemon.get(f"/api/v1/dags?name={name}")[0]["id"]
            elif status == 201:
                self.dags[name] = json.loads(body)["id"]
            elif status != 503:
                self.violations.append(f"POST dags {name}: {status} {body!r}")

    def ask(self, daemon, key, name):
        """One trigger with its key; asked again after a crash it has to lead to the same run."""
        if name not in self.dags:
            return      # the store had no room for it
        status, body = daemon.call("POST", f"/api/v1/dags/{self.dags[name]}/runs", {}, {"Idempotency-Key": key})
        if status != 202:
            if status != 503:
                self.violations.append(f"trigger {name}: {status} {body!r}")
            return
        run_id = json.loads(body)["runId"]
        if self.answers.setdefault(key, run_id) != run_id:
            self.violations.append(f"key {key} gave run {self.answers[key]}, then {run_id}")
        self.runs[run_id] = name
        self.keys.pop(key, None)

    def submit(self, daemon):
        self.make_dags(daemon)
        if not self.backfilled and (self.backfill or self.random.random() < 0.1):
            self.ask_backfill(daemon)
        for key, name in list(self.keys.items()):
            self.ask(daemon, key, name)
        for key in self.random.sample(sorted(self.answers), min(2, len(self.answers))):
            self.ask(daemon, key, self.runs[self.answers[key]])
        for _ in range(self.random.randint(1, 3)):
            key = f"key-{self.random.getrandbits(64):x}"
            self.keys[key] = self.random.choice(sorted(set(DAGS) - {SCHEDULED}))
            self.ask(daemon, key, self.keys[key])

    def ask_backfill(self, daemon):
        if SCHEDULED not in self.dags:
            return
        if not self.backfill:
            last = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)
            last -= datetime.timedelta(hours=1)
            self.backfill = (last - datetime.timedelta(minutes=BACKFILL_MINUTES - 1), last)
        first, last = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in self.backfill)
        status, body = daemon.call("POST", f"/api/v1/dags/{self.dags[SCHEDULED]}/backfill", {"from": first, "to": last})
        if status == 202:
            self.backfilled = True
        elif status != 503:
            self.violations.append(f"backfill: {status} {body!r}")

    def point(self, names):
        """(name:when, PAWL_FAULT) of one of them"""
        name = self.random.choice(sorted(names))
        who, function, most = POINTS[name]
        most = names[name] if isinstance(names, dict) and isinstance(names[name], int) else most
        number = max(1, int(most ** self.random.random()))
        when = self.random.choice(["before", "after"])
        return f"{name}:{when}", f"{who}:{function}:{number}:kill-{when}"

    def processes(self):
        """(pid, argv) of those that name this round's directory."""
        for process in Path("/proc").iterdir():
            try:
                line = (process / "cmdline").read_bytes() if process.name.isdigit() else b""
            except OSError:
                continue
            if os.fsencode(self.path) in line:
                yield int(process.name), line.split(b"\0")

    def workers(self):
        """Their pids. Keeps in mind who they were."""
        for pid, argv in self.processes():
            if argv[1] == b"worker":
                self.worker_ids.add(os.fsdecode(argv[argv.index(b"--id") + 1]))
                yield pid

    def kill_workers(self, percent, label):
        """From outside."""
        for pid in list(self.workers()):
            if self.random.random() * 100 >= percent:
                continue
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.workers_killed = True
            self.kills[label] += 1

    def kill_while_it_starts(self):
        daemon = Daemon(self, {}, blind=True)
        try:
            daemon.process.wait(self.random.uniform(0.001, 0.08))
        except subprocess.TimeoutExpired:
            pass
        daemon.kill()
        self.kills["serve:starting"] += 1

    def migrate(self):
        """The next daemon finds the store of an older version, in which runs are active and attempts run."""
        if downgrade.downgrade(self.path / "data" / "pawl.db"):
            self.migrated = True
            return self.point(MIGRATION_POINTS)
        return None, None

    def one_kill(self):
        dice = self.random.random()
        if dice < 0.08:
            self.kill_while_it_starts()
            return
        prefix, label, faults, seconds = "serve", None, [], self.random.uniform(0.02, 0.6)
        if dice < 0.16:
            prefix = "migrate"
            label, fault = self.migrate()
            faults += [fault] if fault else []
        elif dice < 0.6 or (dice > 0.7 and not self.kills_workers):
            label, fault = self.point([name for name, point in POINTS.items() if point[0] == "serve"])
            faults.append(fault)
        elif dice > 0.7:
            seconds = 1.0       # for the workers to meet theirs
        if self.kills_workers and (dice > 0.7 or self.random.random() < 0.6):
            _, fault = self.point([name for name, point in POINTS.items() if point[0] == "worker"])
            faults.append(fault)
        environment = {"LD_PRELOAD": str(self.options.faults), "PAWL_FAULT": ",".join(faults)} if faults else {}
        daemon = Daemon(self, environment)
        try:
            self.submit(daemon)
            if self.kills_workers and self.random.random() < 0.1:
                self.kill_workers(50, "worker:random")
        except Died:
            pass
        try:
            daemon.process.wait(1.0 if label else seconds)
        except subprocess.TimeoutExpired:
            pass
        if daemon.process.poll() is not None and daemon.process.returncode != -signal.SIGKILL:
            self.violations.append(f"{faults}: the daemon ended by itself with {daemon.process.returncode}")
        if self.kills_workers and self.random.random() < 0.12:
            daemon.process.kill()
            self.kill_workers(100, "worker:together")
        daemon.kill()
        list(self.workers())
        met = list(daemon.take_met("serve"))
        self.kills[f"{prefix}:{met[0]}" if met else "serve:late" if label else "serve:random"] += 1
        for worker_label in daemon.take_met("worker"):
            self.workers_killed = True
            self.kills[f"worker:{worker_label}"] += 1

    def settle(self):
        """A last start without kills: everything has to end, then is checked."""
        daemon = Daemon(self, {})
        if not daemon.address:
            self.violations.append("the daemon does not start any more")
            daemon.kill()
            return
        self.make_dags(daemon)
        for key, name in list(self.keys.items()):
            self.ask(daemon, key, name)
        if self.backfill and not self.backfilled:
            self.ask_backfill(daemon)
        self.find_more(daemon)
        fires = self.settle_schedule(daemon)
        runs = {}
        for run_id, name in self.runs.items():
            status = daemon.wait_ended(run_id)
            logs = {}
            for shown in status["tasks"] if status else []:
                if shown["state"] == "succeeded":
                    path = f"/api/v1/runs/{run_id}/tasks/{quote(shown['taskId'], safe='')}/log"
                    logs[shown["taskId"]] = daemon.call("GET", path)[1].decode()
            runs[run_id] = {"tasks": DAGS[name], "status": status, "logs": logs}
        ledger_path = self.path / "ledger" / "ledger"
        ledger = ledger_path.read_text() if ledger_path.exists() else ""
        self.violations += checker.check(runs, ledger, self.workers_killed, self.ruled_out)
        self.violations += checker.check_fires(fires, runs, self.migrated, self.backfill if self.backfilled else None)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.end()
        if daemon.process.returncode != 0:
            self.violations.append(f"SIGTERM: exit status {daemon.process.returncode}")
        found = subprocess.run([PAWL, "fsck", "--data", self.path / "data"], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
        if found.returncode != 0:
            self.violations.append(f"fsck: {found.stdout}")
        self.violations += [f"left behind: {line}" for line in self.leftovers()]

    def find_more(self, daemon):
        """Runs that were asked for without a key."""

    def settle_schedule(self, daemon):
        """Every record of the schedule, once nothing of it waits; its runs are to be checked like all others."""
        if SCHEDULED not in self.dags:
            return []
        path = f"/api/v1/dags/{self.dags[SCHEDULED]}"
        (status, _), queued = daemon.call("POST", f"{path}/pause"), True
        if status != 204:
            self.violations.append(f"pause: {status}")
        while queued:
            for run in daemon.get(f"{path}/runs?limit=1000"):
                self.runs[run["runId"]] = SCHEDULED
                daemon.wait_ended(run["runId"])
            queued = daemon.get(f"{path}/fires?outcome=queued")
        for run in daemon.get(f"{path}/runs?limit=1000"):
            self.runs[run["runId"]] = SCHEDULED
        return daemon.get(f"{path}/fires?limit=1000")

    def leftovers(self):
        """Processes that name this round's directory, workers' files and cgroups."""
        yield from (f"process {pid} {argv}" for pid, argv in self.processes())
        for suffix in ("sock", "lock", "run"):
            yield from map(str, (self.path / "data" / "workers").glob(f"*.{suffix}"))
        if self.worker_ids:
            for folder, names, _ in os.walk("/sys/fs/cgroup"):
                yield from (f"{folder}/{name}" for name in names if name.removeprefix("pawl-") in self.worker_ids)


def run_round(options, number):
    path = Path(tempfile.mkdtemp(prefix="pawl-crash-"))
    round_ = Round(path, options.seed * 1000003 + number, options)
    try:
        for _ in range(KILLS_PER_ROUND):
            round_.one_kill()
        round_.settle()
    except Exception as problem:
        round_.violations.append(f"the campaign itself: {problem!r}")
    if round_.violations:
        print(f"round {number} of seed {options.seed} ({path} is kept):")
        for violation in round_.violations:
            print(f"  {violation}")
        subprocess.run([PAWL, "stop", "--kill", "--data", path / "data"], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    else:
        shutil.rmtree(path)
    return round_


def build(options, into, flags=()):
    options.faults = into / "faults.so"
    options.ledger = into / "ledger"
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC", *flags, "-o", options.faults,
                    HERE / "faults.c", HERE / "calls.c", "-ldl", "-pthread"], check=True)
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-o", options.ledger, HERE / "ledger.c"], check=True)


class Sums:
    """What a campaign has done so far, over all calls with one progress file."""
    def __init__(self, options):
        self.path = options.progress
        self.kills, self.runs, self.violations, self.seconds, self.next = Counter(), 0, 0, 0.0, options.round or 0
        if self.path and self.path.exists():
            kept = json.loads(self.path.read_text())
            if kept["seed"] != options.seed:
                sys.exit(f"campaign: {self.path} is of seed {kept['seed']}")
            self.kills = Counter(kept["kills"])
            self.runs, self.violations = kept["runs"], kept["violations"]
            self.seconds, self.next = kept["seconds"], kept["next"]
        self.seed = options.seed

    def add(self, round_, seconds):
        self.kills += round_.kills
        self.runs += len(round_.runs)
        self.violations += len(round_.violations)
        self.seconds += seconds
        self.next += 1
        if self.path:
            kept = {"seed": self.seed, "kills": self.kills, "runs": self.runs, "violations": self.violations,
                    "seconds": self.seconds, "next": self.next}
            draft = self.path.with_suffix(".new")
            draft.write_text(json.dumps(kept))
            draft.rename(self.path)

    def report(self):
        for label, count in sorted(self.kills.items()):
            print(f"{count:6} {label}")
        total = sum(self.kills.values())
        print(f"{total} kills in {self.seconds:.0f} s ({total / max(self.seconds, 1) * 3600:.0f} an hour), "
              f"{self.runs} runs, {self.violations} violations, seed {self.seed}, rounds to {self.next - 1}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--kills", type=int, default=200, help="at least so many in this call")
    parser.add_argument("--seconds", type=float, default=3600, help="at most so long in this call")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--round", type=int)
    parser.add_argument("--progress", type=Path, help="where to go on")
    parser.add_argument("--no-workers", dest="workers", action="store_false", help="kill the daemon only")
    options = parser.parse_args()
    sums = Sums(options)
    before, began, violations = sum(sums.kills.values()), time.monotonic(), sums.violations
    with tempfile.TemporaryDirectory(prefix="pawl-crash-tools-") as tools:
        build(options, Path(tools))
        while True:
            start = time.monotonic()
            sums.add(run_round(options, sums.next), time.monotonic() - start)
            print(f"round {sums.next}: {sum(sums.kills.values())} kills, {sums.runs} runs, {sums.violations} violations",
                  file=sys.stderr)
            if options.round is not None or sum(sums.kills.values()) - before >= options.kills \
                    or time.monotonic() - began > options.seconds:
                break
    sums.report()
    return 1 if sums.violations > violations else 0


if __name__ == "__main__":
    sys.exit(main())
