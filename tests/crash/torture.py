#!/usr/bin/env python3
"""make torture: the n-th call of a function fails, n = 1, 2, ... until a pass does not meet it, once and from then on.

    torture.py [--functions malloc,write,...] [--who serve,worker] [--from N] [--step N] [--seconds S]

A pass: the daemon starts with the fault, gets a run or two, is stopped; then it starts without a fault, everything has
to end, and checker.py compares the ledger with the API. The daemon may end by itself (by abort when memory is refused)
but not by a signal of the kernel, and may not hang."""
import argparse
import errno
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import campaign

CALLS = {
    "malloc": errno.ENOMEM, "calloc": errno.ENOMEM, "realloc": errno.ENOMEM, "open": errno.EMFILE,
    "write": errno.EIO, "writev": errno.EIO, "pwrite64": errno.ENOSPC, "pread64": errno.EIO, "fsync": errno.EIO,
    "fdatasync": errno.EIO, "ftruncate64": errno.ENOSPC, "clone3": errno.EAGAIN, "posix_spawn": errno.EAGAIN,
    "pipe2": errno.EMFILE, "epoll_create1": errno.EMFILE, "epoll_ctl": errno.ENOMEM, "eventfd": errno.EMFILE,
    "recv": errno.ECONNRESET, "send": errno.EPIPE, "sendmsg": errno.EPIPE, "connect": errno.ECONNREFUSED,
    "accept4": errno.EMFILE, "socket": errno.EMFILE, "mkdir": errno.ENOSPC, "rename": errno.EIO,
    "unlink": errno.EIO, "waitid": errno.EINTR,
}
ABORTS = {"malloc", "calloc", "realloc"}


class Pass(campaign.Round):
    def meet(self, who, function, number, onwards):
        """Whether the fault was met."""
        fault = f"{who}:{function}:{number}{'+' if onwards else ''}:{CALLS[function]}"
        # what a fault hits in a worker can be a worker's death, and what hits the daemon can be its view of one
        self.workers_killed = True
        daemon = campaign.Daemon(self, {"LD_PRELOAD": str(self.options.faults), "PAWL_FAULT": fault})
        try:
            self.submit(daemon)
            for run_id in list(self.runs):
                daemon.wait_ended(run_id, seconds=2)
        except campaign.Died:
            pass
        except Exception as problem:
            self.violations.append(f"{fault}: {problem!r}")
        daemon.process.send_signal(signal.SIGQUIT)
        try:
            code = daemon.process.wait(60)
        except subprocess.TimeoutExpired:
            self.violations.append(f"{fault}: the daemon hangs")
            code = None
            daemon.process.kill()
        daemon.end()
        allowed = {-signal.SIGABRT} if function in ABORTS else set()
        if code is not None and code < 0 and code not in allowed | {-signal.SIGQUIT}:
            self.violations.append(f"{fault}: the daemon died of signal {-code}")
        return daemon.mark.exists()


def one_pass(options, who, function, number, onwards):
    path = Path(tempfile.mkdtemp(prefix="pawl-torture-"))
    pass_ = Pass(path, number, options)
    met = pass_.meet(who, function, number, onwards)
    try:
        pass_.settle()
    except Exception as problem:
        pass_.violations.append(f"the settling: {problem!r}")
    label = f"{who} {function} {number}{'+' if onwards else ''}"
    for violation in pass_.violations:
        print(f"{label}: {violation} ({path} is kept)", flush=True)
    if not pass_.violations:
        shutil.rmtree(path)
    return met, len(pass_.violations)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--functions", default=",".join(CALLS))
    parser.add_argument("--who", default="serve,worker")
    parser.add_argument("--from", dest="first", type=int, default=1)
    parser.add_argument("--step", type=int, default=1, help="every STEP-th call only")
    parser.add_argument("--seconds", type=float, default=3600)
    options = parser.parse_args()
    options.workers = True
    passes = violations = 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pawl-torture-tools-") as tools:
        campaign.build(options, Path(tools))
        for who in options.who.split(","):
            for function in options.functions.split(","):
                for onwards in (False, True):
                    number, met = options.first, True
                    while met and time.monotonic() - began < options.seconds:
                        met, found = one_pass(options, who, function, number, onwards)
                        passes += 1
                        violations += found
                        number += options.step
                    print(f"{who} {function}{' and all later' if onwards else ''}: "
                          f"{'not met any more at' if not met else 'time is up at'} {number - options.step}",
                          file=sys.stderr, flush=True)
    print(f"{passes} passes in {time.monotonic() - began:.0f} s, {violations} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
