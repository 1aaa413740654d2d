#!/usr/bin/env python3
"""make crash: kills the daemon and its workers at named points and at random moments, starts them again, and lets
checker.py compare the ledger that the tasks wrote with what the API says.

    campaign.py [--kills N] [--seconds S] [--seed N] [--no-workers]

A round is a fresh data directory, a number of kills (each with new runs on top, also during recovery), a last start
without kills in which everything has to end, and the check. Round R of seed N is repeated by --seed N --round R. The
last line says how many kills there were and how many violations; exit status 1 if any."""
import argparse
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

HERE = Path(__file__).resolve().parent
PAWL = str(Path(os.environ.get("PAWL", HERE.parent.parent / "build" / "pawl")).resolve())
KILLS_PER_ROUND = 20

# FUNCTION, calls of it that are worth counting to
SERVE_POINTS = {"fdatasync": 40, "fsync": 6, "pwrite64": 200, "ftruncate64": 4, "write": 80, "send": 80, "sendmsg": 80,
                "recv": 80, "connect": 4, "rename": 2, "unlink": 8, "posix_spawn": 4}
WORKER_POINTS = {"clone3": 12, "write": 60, "send": 60, "sendmsg": 60, "recv": 60, "waitid": 30, "unlink": 4}


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
}


def yaml_of(name, tasks, program, ledger_dir):
    lines = [f"name: {name}", "tasks:"]
    for task_id, t in tasks.items():
        command = json.dumps([program, ledger_dir, str(t["ms"]), str(t["exit"]), str(t["lines"])])
        retry = f", retry: {{maxAttempts: {t['max_attempts']}, initialDelay: 20ms}}" if t["max_attempts"] > 1 else ""
        lines.append(f"  - {{id: {task_id}, type: shell, onLost: {t['on_lost']}, command: {command}, "
                     f"dependencies: {json.dumps(t['dependencies'])}{retry}}}")
    return "\n".join(lines) + "\n"


class Died(Exception):
    """The daemon is gone, as it should be."""


class Daemon:
    def __init__(self, round_, environment):
        self.mark = round_.path / "mark"
        self.mark.unlink(missing_ok=True)
        self.log = open(round_.path / "log", "ab")
        self.process = subprocess.Popen(
            [PAWL, "serve", "--data", round_.path / "data", "--listen", "127.0.0.1:0", "--workers", "2", "--slots", "2"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log,
            env={**os.environ, **environment, "PAWL_FAULT_MARK": str(self.mark)})
        line = self.process.stdout.readline().decode()
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
        self.violations = []
        self.kills = Counter()
        self.workers_killed = False
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
        for key, name in list(self.keys.items()):
            self.ask(daemon, key, name)
        for key in self.random.sample(sorted(self.answers), min(2, len(self.answers))):
            self.ask(daemon, key, self.runs[self.answers[key]])
        for _ in range(self.random.randint(1, 3)):
            key = f"key-{self.random.getrandbits(64):x}"
            self.keys[key] = self.random.choice(sorted(DAGS))
            self.ask(daemon, key, self.keys[key])

    def choose(self):
        """(label, environment, seconds until a kill from outside)"""
        moment = self.random.uniform(0.02, 0.6)
        kind = self.random.random()
        if kind < 0.25:
            return "serve:random", {}, moment
        points, who = (SERVE_POINTS, "serve")
        if self.options.workers and kind > 0.75:
            points, who = WORKER_POINTS, "worker"
        function = self.random.choice(sorted(points))
        when = "before" if function == "clone3" else self.random.choice(["before", "after"])
        number = int(points[function] ** self.random.random())   # small ones more often
        at = f"{who}:{function}:{number}:kill-{when}"
        return at, {"LD_PRELOAD": str(self.options.faults), "PAWL_FAULT": at}, 1.0 if who == "serve" else moment

    def kill_a_worker(self):
        """From outside, by the pid its lock file names."""
        for lock in sorted((self.path / "data" / "workers").glob("*.lock")):
            holder = lock.read_text().split()
            if holder and holder[0].isdigit() and self.random.random() < 0.5:
                try:
                    os.kill(int(holder[0]), signal.SIGKILL)
                    self.workers_killed = True
                    self.kills["worker:random"] += 1
                except ProcessLookupError:
                    pass

    def one_kill(self):
        label, environment, seconds = self.choose()
        if label.startswith("worker:"):
            self.workers_killed = True
        daemon = Daemon(self, environment)
        try:
            self.submit(daemon)
            if self.options.workers and self.random.random() < 0.1:
                self.kill_a_worker()
        except Died:
            pass
        try:
            daemon.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        met = daemon.mark.exists()
        if daemon.process.poll() is not None and daemon.process.returncode != -signal.SIGKILL:
            self.violations.append(f"{label}: the daemon ended by itself with {daemon.process.returncode}")
        daemon.kill()
        self.kills[re.sub(r":\d+:kill-", ":", label) if met or label == "serve:random" else "serve:late"] += 1

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
        self.violations += checker.check(runs, ledger, self.workers_killed)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.end()
        if daemon.process.returncode != 0:
            self.violations.append(f"SIGTERM: exit status {daemon.process.returncode}")
        found = subprocess.run([PAWL, "fsck", "--data", self.path / "data"], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
        if found.returncode != 0:
            self.violations.append(f"fsck: {found.stdout}")
        self.violations += [f"left behind: {line}" for line in self.leftovers()]

    def leftovers(self):
        """Processes that name this round's directory, and workers' files."""
        for process in Path("/proc").iterdir():
            try:
                line = (process / "cmdline").read_bytes() if process.name.isdigit() else b""
            except OSError:
                continue
            if os.fsencode(self.path) in line:
                yield f"process {process.name} {line!r}"
        for suffix in ("sock", "lock"):
            yield from map(str, (self.path / "data" / "workers").glob(f"*.{suffix}"))


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


def build(options, into):
    options.faults = into / "faults.so"
    options.ledger = into / "ledger"
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC", "-o", options.faults, HERE / "faults.c", "-ldl"],
                   check=True)
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-o", options.ledger, HERE / "ledger.c"], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--round", type=int)
    parser.add_argument("--no-workers", dest="workers", action="store_false", help="kill the daemon only")
    options = parser.parse_args()
    kills, runs, violations = Counter(), 0, 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pawl-crash-tools-") as tools:
        build(options, Path(tools))
        number = options.round if options.round is not None else 0
        while True:
            round_ = run_round(options, number)
            kills += round_.kills
            runs += len(round_.runs)
            violations += len(round_.violations)
            number += 1
            print(f"round {number}: {sum(kills.values())} kills, {runs} runs, {violations} violations", file=sys.stderr)
            if options.round is not None or sum(kills.values()) >= options.kills \
                    or time.monotonic() - began > options.seconds:
                break
    for label, count in sorted(kills.items()):
        print(f"{count:6} {label}")
    seconds = time.monotonic() - began
    print(f"{sum(kills.values())} kills in {seconds:.0f} s ({sum(kills.values()) / seconds * 3600:.0f} an hour), "
          f"{runs} runs, {violations} violations, seed {options.seed}, rounds to {number - 1}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
