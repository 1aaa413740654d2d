#!/usr/bin/env python3
"""make torture: a call of a function fails, the first, the second, ... until a pass does not meet it any more; each
alone, and with all later calls of that function.

    torture.py [--functions malloc,write,...] [--who serve,worker] [--by place|call] [--progress FILE] [--seconds S]

By place (the default), every place of the program that calls the function has its turn, told by the stack of its
callers; by call, every call of it. A pass: the daemon starts with the fault, gets runs and questions of all kinds, is
stopped; then it starts without a fault, everything has to end, and checker.py compares the ledger with the API. The
daemon may end by itself (by abort when memory is refused) but not by a signal of the kernel, may not hang, and says 503
to what it could not do, never 400 or 500. With --progress what is done is kept in FILE, and the next call goes on there.
PAWL names the program. One that is built with AddressSanitizer says what leaks, too; then memory is not refused."""
import argparse
import errno
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import campaign

SQLITE_NOMEM, SQLITE_IOERR, SQLITE_FULL = 7, 10, 13
CALLS = {
    "open": errno.EMFILE, "read": errno.EIO, "pread": errno.EIO, "write": errno.ENOSPC, "writev": errno.EIO,
    "pwrite": errno.ENOSPC, "fsync": errno.EIO, "fdatasync": errno.EIO, "ftruncate": errno.ENOSPC,
    "posix_fallocate": errno.ENOSPC, "mmap": errno.ENOMEM, "mkdir": errno.ENOSPC, "rename": errno.EIO,
    "unlink": errno.EIO, "flock": errno.ENOLCK, "clone3": errno.EAGAIN, "posix_spawn": errno.EAGAIN,
    "pidfd_open": errno.EMFILE, "waitid": errno.EINTR, "pipe2": errno.EMFILE, "epoll_create1": errno.EMFILE,
    "epoll_ctl": errno.ENOMEM, "epoll_wait": errno.EINTR, "eventfd": errno.EMFILE, "signalfd": errno.EMFILE,
    "timerfd_create": errno.EMFILE, "pthread_create": errno.EAGAIN, "socket": errno.EMFILE,
    "bind": errno.EADDRINUSE, "listen": errno.EADDRINUSE, "connect": errno.ECONNREFUSED, "accept4": errno.EMFILE,
    "recv": errno.ECONNRESET, "recvmsg": errno.ECONNRESET, "send": errno.EPIPE, "tell": errno.EPIPE,
    "sendmsg": errno.EPIPE, "sqlite3_open_v2": SQLITE_IOERR, "sqlite3_exec": SQLITE_IOERR,
    "sqlite3_prepare_v3": SQLITE_NOMEM, "sqlite3_step": SQLITE_FULL, "sqlite3_wal_checkpoint_v2": SQLITE_IOERR,
    "malloc": errno.ENOMEM, "calloc": errno.ENOMEM, "realloc": errno.ENOMEM,
}
MEMORY = {"malloc", "calloc", "realloc"}
FOREVER = {"epoll_wait", "waitid"}      # EINTR for ever is no fault that a kernel has
DEAF = "accept4:"                       # who accepts nobody answers nobody
PATIENCE_S = 1.5                        # a run may not be able to end while the fault lasts
MISSES = 2                              # passes in a row that did not meet it: there are no more


class Pass(campaign.Round):
    def __init__(self, path, options):
        super().__init__(path, 1, options)
        # what a fault hits in a worker can be a worker's death, and what hits the daemon can be its view of one
        self.workers_killed = True

    def expect(self, daemon, method, path, body=None, also=()):
        """200, 202, 204 or 503; what came, when it was not the last."""
        status, answer = daemon.call(method, path, body)
        if status not in (200, 202, 204, 503, *also):
            self.violations.append(f"{method} {path}: {status} {answer!r}")
        return json.loads(answer) if status in (200, 202) and answer[:1] in (b"[", b"{") else None

    def look_around(self, daemon):
        """Questions and requests of all kinds."""
        for path in ("/health", "/api/v1/dags", "/api/v1/runs?limit=5&state=succeeded", "/api/v1/workers", "/api/v1/cluster",
                     "/api/v1/dlq", "/api/v1/dlq/stats", "/api/v1/dlq/groups", "/docs/openapi.yaml",
                     "/api/v1/schedule/preview?expr=*/5+*+*+*+*&tz=Europe/Berlin"):
            self.expect(daemon, "GET", path)
        self.expect(daemon, "GET", "/metrics")
        self.expect(daemon, "POST", "/api/v1/dags/validate", {"yaml": "tasks: [{id: a, type: shell, command: x"})
        for name, dag_id in self.dags.items():
            self.expect(daemon, "GET", f"/api/v1/dags/{dag_id}/source")
            self.expect(daemon, "GET", f"/api/v1/dags/{dag_id}/fires")
        for run_id, name in list(self.runs.items()):
            self.expect(daemon, "GET", f"/api/v1/runs/{run_id}")
            for task in campaign.DAGS[name]:
                self.expect(daemon, "GET", f"/api/v1/runs/{run_id}/tasks/{task}/why")
                self.expect(daemon, "GET", f"/api/v1/runs/{run_id}/tasks/{task}/log", also=(404,))

    def make_more(self, daemon):
        """Reruns that are canceled, letters."""
        for run_id, name in list(self.runs.items())[:2]:
            made = self.expect(daemon, "POST", f"/api/v1/runs/{run_id}/rerun", {"from": "all"}, also=(409,))
            if made:
                self.ruled_out.add(made["runId"])
                self.expect(daemon, "POST", f"/api/v1/runs/{made['runId']}/cancel", also=(409,))
        for letter in self.expect(daemon, "GET", "/api/v1/dlq") or []:
            self.expect(daemon, "POST", f"/api/v1/dlq/{letter['id']}/resolve",
                        {"notes": "seen", "resolvedBy": "torture"}, also=(409,))

    def find_more(self, daemon):
        """A rerun that was made and not answered."""
        self.ruled_out.update(run["runId"] for run in daemon.get("/api/v1/runs?limit=1000")
                              if run["triggeredBy"] == "rerun")

    def use(self, daemon):
        self.submit(daemon)
        self.ask_backfill(daemon)
        deadline = time.monotonic() + PATIENCE_S
        for run_id in list(self.runs):
            daemon.wait_ended(run_id, seconds=max(0.1, deadline - time.monotonic()))
        self.look_around(daemon)
        self.make_more(daemon)

    def meet(self, who, fault):
        """Whether the fault was met."""
        environment = {"LD_PRELOAD": str(self.options.faults), "PAWL_FAULT": f"{who}:{fault}"}
        if self.options.sanitized:
            environment["ASAN_OPTIONS"] = "verify_asan_link_order=0:detect_leaks=1"
        daemon = campaign.Daemon(self, environment)
        try:
            self.use(daemon)
        except campaign.Died:
            pass
        except TimeoutError as problem:
            if not fault.startswith(DEAF):
                self.violations.append(f"while it lasts: {problem!r}")
        except Exception as problem:
            self.violations.append(f"while it lasts: {problem!r}")
        daemon.process.send_signal(signal.SIGQUIT)
        try:
            code = daemon.process.wait(60)
        except subprocess.TimeoutExpired:
            self.violations.append("the daemon hangs")
            code = None
            daemon.process.kill()
        daemon.end()
        allowed = {-signal.SIGABRT} if fault.split(":")[0] in MEMORY else set()
        if code is not None and code < 0 and code not in allowed | {-signal.SIGQUIT}:
            self.violations.append(f"the daemon died of signal {-code}")
        met = bool(list(daemon.take_met(who)))
        self.look_at_logs(allowed)
        return met

    def look_at_logs(self, allowed):
        text = (self.path / "log").read_text(errors="replace")
        for log in (self.path / "data" / "workers").glob("*.log"):
            text += log.read_text(errors="replace")
        for number in re.findall(r"killed by signal (\d+)", text):
            if -int(number) not in allowed | {-signal.SIGKILL, -signal.SIGTERM}:
                self.violations.append(f"a worker died of signal {number}")
        for line in text.splitlines():
            if "AddressSanitizer" in line or "LeakSanitizer" in line or "runtime error:" in line:
                self.violations.append(line)


def one_pass(options, who, fault):
    path = Path(tempfile.mkdtemp(prefix="pawl-torture-"))
    pass_ = Pass(path, options)
    met = pass_.meet(who, fault)
    try:
        pass_.settle()
    except Exception as problem:
        pass_.violations.append(f"the settling: {problem!r}")
    for violation in pass_.violations:
        print(f"{who} {fault}: {violation} ({path} is kept)", flush=True)
    if not pass_.violations:
        shutil.rmtree(path)
    return met, len(pass_.violations)


class Progress:
    """What is done: unit -> [next number, passes that did not meet it in a row, passes, violations]."""
    def __init__(self, path):
        self.path, self.lock = path, threading.Lock()
        self.units = json.loads(path.read_text()) if path and path.exists() else {}

    def get(self, unit):
        return self.units.get(unit, [1, 0, 0, 0])

    def set(self, unit, state):
        with self.lock:
            self.units[unit] = state
            if self.path:
                draft = self.path.with_suffix(".new")
                draft.write_text(json.dumps(self.units, indent=0))
                draft.rename(self.path)


def run_unit(options, progress, unit, end):
    who, function, onwards = unit.split()
    number, misses, passes, violations = progress.get(unit)
    while misses < MISSES and time.monotonic() < end:
        place = "@" if options.by == "place" else ""
        fault = f"{function}:{place}{number}{'+' if onwards == 'onwards' else ''}:{CALLS[function]}"
        met, found = one_pass(options, who, fault)
        number, passes, violations, misses = number + 1, passes + 1, violations + found, 0 if met else misses + 1
        progress.set(unit, [number, misses, passes, violations])
    state = f"to its end at {number - MISSES - 1}" if misses >= MISSES else f"time is up at {number}"
    print(f"{unit}: {state}; {passes} passes, {violations} violations", file=sys.stderr, flush=True)
    return misses >= MISSES


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--functions", default=",".join(CALLS))
    parser.add_argument("--who", default="serve,worker")
    parser.add_argument("--by", choices=("place", "call"), default="place")
    parser.add_argument("--seconds", type=float, default=3600, help="no new pass after that")
    parser.add_argument("--jobs", type=int, default=1, help="passes at the same time")
    parser.add_argument("--progress", type=Path, help="where to go on")
    options = parser.parse_args()
    options.workers = True
    options.sanitized = b"libasan" in Path(campaign.PAWL).read_bytes()
    functions = [name for name in options.functions.split(",") if not (options.sanitized and name in MEMORY)]
    units = [f"{who} {function} {onwards}" for function in functions for who in options.who.split(",")
             for onwards in (("once",) if function in FOREVER else ("once", "onwards"))]
    progress, end = Progress(options.progress), time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory(prefix="pawl-torture-tools-") as tools:
        campaign.build(options, Path(tools), ["-DWITHOUT_MEMORY"] if options.sanitized else [])
        with ThreadPoolExecutor(options.jobs) as pool:
            done = list(pool.map(lambda unit: run_unit(options, progress, unit, end), units))
    sums = [sum(progress.get(unit)[i] for unit in units) for i in (2, 3)]
    print(f"{sums[0]} passes, {sums[1]} violations; {sum(done)} of {len(done)} rows came to their end")
    return 1 if sums[1] else 0


if __name__ == "__main__":
    sys.exit(main())
