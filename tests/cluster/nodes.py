"""Nodes of a cluster on this machine, each with a network of its own where that is permitted, and what can be done to
them: killed, paused, frozen with all they run, cut off."""
import contextlib
import http.client
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "blackbox"))
from support import all_pids, wait_pid_gone  # noqa: E402

START_S = 30


def boot_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def idle(seconds):
    """Between two looks at what announces itself nowhere."""
    select.poll().poll(seconds * 1000)


def ip(*words, check=True):
    return subprocess.run(["ip", *words], stdin=subprocess.DEVNULL, capture_output=True, check=check)


class Place:
    """Where a node lives: its address, and the one under which it finds PostgreSQL's proxy."""

    def __init__(self):
        self.address = self.gateway = "127.0.0.1"
        self.prefix, self.options = [], []

    def cut(self, link):
        link.silence()

    def heal(self, link):
        link.speak()

    def close(self):
        pass


class Namespace(Place):
    """A network namespace with one wire out of it. Made by root only."""

    def __init__(self, number):
        super().__init__()
        self.name = f"pawl{os.getpid()}-{number}"
        self.wire = f"pw{os.getpid() % 100000}h{number}"
        block = (os.getpid() % 4096) * 16 + number % 16
        base = f"10.{192 + block // 16384}.{block // 64 % 256}."
        self.gateway, self.address = f"{base}{block % 64 * 4 + 1}", f"{base}{block % 64 * 4 + 2}"
        inside = f"{self.wire}n"
        ip("netns", "add", self.name)
        try:
            ip("link", "add", self.wire, "type", "veth", "peer", "name", inside, "netns", self.name)
            ip("address", "add", f"{self.gateway}/30", "dev", self.wire)
            ip("link", "set", self.wire, "up")
            ip("-n", self.name, "address", "add", f"{self.address}/30", "dev", inside)
            ip("-n", self.name, "link", "set", inside, "up")
            ip("-n", self.name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError):
            self.close()
            raise
        self.prefix = ["nsenter", f"--net=/run/netns/{self.name}", "--"]
        self.options = ["--allow-plain-http", "--allow-anonymous"]

    def cut(self, link):
        ip("link", "set", self.wire, "down")

    def heal(self, link):
        ip("link", "set", self.wire, "up", check=False)

    def close(self):
        ip("link", "delete", self.wire, check=False)
        ip("netns", "delete", self.name, check=False)


def make_places(count, plain=False):
    """Namespaces, or loopback where they are not permitted."""
    made = []
    try:
        for number in range(0 if plain else count):
            made.append(Namespace(number))
    except (OSError, subprocess.CalledProcessError):
        for place in made:
            place.close()
        made = []
    return made or [Place() for _ in range(count)]


class Gone(Exception):
    """The node does not answer, as may be."""


class Node:
    """`pawl serve` on PostgreSQL. Each start is a new process."""

    def __init__(self, number, folder, place, link, pawl, options, environment):
        self.number, self.place, self.link = number, place, link
        self.pawl = pawl                # what the next start runs
        self.runs = None                # what the last one does
        self.folder = folder / f"node{number}"
        self.folder.mkdir()
        self.options = options
        self.environment = environment
        self.process = None
        self.port = None
        self.expected = None            # exit statuses that are no surprise; None: none is
        self.starts = 0

    def spawn(self):
        self.starts += 1
        self.runs = self.pawl
        self.port = None
        self.expected = None
        with open(self.folder / f"log.{self.starts}", "wb") as log:
            self.process = subprocess.Popen(
                [*self.place.prefix, self.pawl, "serve", "--data", self.folder / "data", "--listen",
                 f"{self.place.address}:0", *self.place.options, *self.options],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd=self.folder,
                env={**os.environ, **self.environment})

    def wait_started(self, seconds=START_S):
        """False: it ended, or does not start."""
        until = time.monotonic() + seconds
        line, out = b"", self.process.stdout.fileno()
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([out], [], [], max(0, until - time.monotonic()))
            piece = os.read(out, 200) if ready else b""
            if not piece:
                return False
            line += piece
        self.port = int(line.decode().split()[2].rsplit(":", 1)[1])
        return True

    def is_up(self):
        return self.process is not None and self.process.poll() is None

    def ended_by_itself(self):
        """Its exit status, when nobody asked for it."""
        if self.process is None or self.expected is not None:
            return None
        return self.process.poll()

    def pids(self):
        """The daemon, its workers, their tasks."""
        needle, found = os.fsencode(self.folder) + b"/", []
        for pid in all_pids():
            with contextlib.suppress(OSError):
                if (os.fsencode(os.readlink(f"/proc/{pid}/cwd")) + b"/").startswith(needle):
                    found.append(pid)
                    continue
                with open(f"/proc/{pid}/cmdline", "rb") as arguments:
                    if needle in arguments.read():
                        found.append(pid)
        return found

    def tell_all(self, number):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def signal(self, number):
        if self.is_up():
            self.process.send_signal(number)

    def kill(self):
        """The daemon alone: its workers go on as long as the lease lets them."""
        self.expected = {-signal.SIGKILL}
        self.signal(signal.SIGKILL)
        self.reap()

    def crash(self):
        """The machine: nothing is left."""
        self.expected = {-signal.SIGKILL}
        while True:
            pids = self.pids()
            if not pids:
                break
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.reap()
            for pid in pids:
                wait_pid_gone(pid)
        self.reap()

    def freeze(self):
        """As a machine that is suspended: first those who would start something."""
        self.signal(signal.SIGSTOP)
        for _ in range(2):
            self.tell_all(signal.SIGSTOP)

    def thaw(self):
        self.tell_all(signal.SIGCONT)

    def reap(self, seconds=30):
        if self.process and not self.process.stdout.closed:
            self.process.wait(seconds)
            self.process.stdout.close()

    def call(self, method, path, body=None, headers=None, seconds=2.0):
        if not self.port:
            raise Gone
        connection = http.client.HTTPConnection(self.place.address, self.port, timeout=seconds)
        try:
            text = None if body is None else json.dumps(body)
            sent = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, text, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            raise Gone from None
        finally:
            connection.close()

    def get(self, path, seconds=5.0):
        status, body = self.call("GET", path, seconds=seconds)
        if status == 503:
            raise Gone
        return json.loads(body) if status == 200 else None

    def id(self):
        path = self.folder / "data" / "node"
        return path.read_text().strip() if path.exists() else None

    def logs(self):
        for path in sorted(self.folder.glob("log.*")):
            yield path.name, path.read_text(errors="replace")
