"""What every row of the bench needs: a daemon of its own, runs through it, programs timed beside it."""
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("PAWL_BENCH_BUILD", ROOT / "build")).resolve()
PAWL = BUILD / "pawl"


class Scratch:
    """A directory on the disk that the daemon's data would be on; gone at the end."""

    def __enter__(self):
        base = os.environ.get("PAWL_BENCH_DIR") or str(BUILD)
        self.path = Path(tempfile.mkdtemp(prefix="bench-", dir=base))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


class Daemon:
    """`pawl serve` on a free port; ended with its workers by the context."""

    def __init__(self, data, *options, env=None):
        self.data = Path(data)
        self.options = options
        self.env = {**os.environ, **(env or {})}

    def __enter__(self):
        began = time.monotonic()
        self.log = open(f"{self.data}.log", "ab")
        self.process = subprocess.Popen(
            [PAWL, "serve", "--data", self.data, "--listen", "127.0.0.1:0", "--log-level", "warn", *self.options],
            stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.DEVNULL, env=self.env)
        line = self.process.stdout.readline().decode()
        self.ready_seconds = time.monotonic() - began
        found = re.match(r"listening on http://([^:]+):(\d+)", line)
        if not found:
            raise RuntimeError(f"the daemon did not start: {Path(f'{self.data}.log').read_text()}")
        self.host, self.port = found[1], int(found[2])
        self.connection = http.client.HTTPConnection(self.host, self.port, timeout=600)
        self.asked = began
        return self

    def __exit__(self, *_):
        self.connection.close()
        self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def call(self, method, path, body=None, headers=None):
        text = None if body is None else json.dumps(body)
        sent = {"Content-Type": "application/json"} if body is not None else {}
        if time.monotonic() - self.asked > 5:
            self.connection.close()     # the daemon ends what is idle for long
        self.connection.request(method, path, text, {**sent, **(headers or {})})
        answer = self.connection.getresponse()
        self.asked = time.monotonic()
        data = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:400]!r}")
        return json.loads(data) if data and answer.getheader("Content-Type", "").startswith("application/json") else data

    def apply(self, name, yaml):
        """The DAG's id. A large one goes by the command line, which has the local limits."""
        path = self.data.parent / f"{name}.yaml"
        path.write_text(yaml)
        done = subprocess.run([PAWL, "dags", "apply", path, "--data", self.data], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        path.unlink()
        return self.call("GET", f"/api/v1/dags?name={name}")[0]["id"]

    def trigger(self, dag_id):
        return self.call("POST", f"/api/v1/dags/{dag_id}/runs")["runId"]

    def wait(self, run_id):
        """RunStatus with one task once the run has ended. Asks seldom, so that asking costs the run nothing."""
        while True:
            status = self.call("GET", f"/api/v1/runs/{run_id}?taskLimit=1")
            if status["completedAt"]:
                return status
            time.sleep(0.05)

    def run(self, dag_id):
        """Seconds from start to end of one run that has to succeed."""
        status = self.wait(self.trigger(dag_id))
        if status["state"] != "succeeded":
            raise RuntimeError(f"the run {status['state']}: {status['error']}")
        return seconds_between(status["startedAt"], status["completedAt"])

    def processes(self):
        """pid of the daemon and of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid] + [int(pid) for pid in children]


def seconds_between(a, b):
    from datetime import datetime
    return (datetime.fromisoformat(b.replace("Z", "+00:00")) - datetime.fromisoformat(a.replace("Z", "+00:00"))).total_seconds()


def floor(name, *arguments):
    """A program of bench/, its line of JSON as a dict."""
    out = subprocess.run([BUILD / "bench" / name, *map(str, arguments)], check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)


def bare_rate(count, concurrency=8, program="/bin/true"):
    """Starts a second of the faster of the one-process and the two-process loop."""
    one = floor("floor_spawn", "-p", 1, "-c", concurrency, count, program)["rate"]
    two = floor("floor_spawn", "-p", 2, "-c", concurrency, count, program)["rate"] if concurrency > 1 else 0
    return max(one, two)


def timed(argv, cwd):
    began = time.monotonic()
    subprocess.run(list(map(str, argv)), cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def interleaved(rounds, **measures):
    """Calls each measure once a round, in turn, after one round that does not count: name -> list of figures."""
    figures = {name: [] for name in measures}
    for index in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if index:
                figures[name].append(value)
    return figures


class Server:
    """floor_http: answers everything at once."""

    def __init__(self, threads=2):
        self.threads = threads

    def __enter__(self):
        self.process = subprocess.Popen([BUILD / "bench" / "floor_http", str(self.threads)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def load(port, clients, count, request, scratch, rate=None):
    """As fast as the answers come, or so many a second whatever they do."""
    path = Path(scratch) / f"request-{threading.get_ident()}"
    path.write_bytes(request)
    return floor("load", port, clients, count, path, *([rate] if rate else []))


def request(method, path, port, body=b"", headers=()):
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers]
    if body or method == "POST":
        lines += [f"Content-Length: {len(body)}"] + (["Content-Type: application/json"] if body else [])
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


# ---- graphs ----

def utc_of(id_):
    """When an id was made, to the millisecond, as queries take it."""
    made_ms = int(id_.replace("-", "")[:12], 16)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(made_ms // 1000)) + f".{made_ms % 1000:03}Z"


def yaml_of(name, tasks, command="/bin/true"):
    """tasks: (id, [dependencies])"""
    lines = [f"name: {name}", "tasks:"]
    for task, dependencies in tasks:
        lines.append(f"  - {{id: {task}, type: shell, command: {command}"
                     + (f", dependencies: [{', '.join(dependencies)}]" if dependencies else "") + "}")
    return "\n".join(lines) + "\n"


def ninja_of(tasks, command="/bin/true"):
    lines = ["rule t", f"  command = {command}"]
    lines += [f"build {task}: t {' '.join(dependencies)}" for task, dependencies in tasks]
    return "\n".join(lines) + "\n"


def make_of(tasks, command="/bin/true"):
    names = " ".join(task for task, _ in tasks)
    lines = [f".PHONY: all {names}", f"all: {names}"]
    for task, dependencies in tasks:
        lines += [f"{task}: {' '.join(dependencies)}", f"\t@{command}"]
    return "\n".join(lines) + "\n"


def flat(count):
    return [(f"t{i}", []) for i in range(count)]


def chains(count, width):
    return [(f"c{c}_{i}", [f"c{c}_{i - 1}"] if i else []) for i in range(count // width) for c in range(width)]


def layers(count, width):
    """Diamonds in a row: each layer waits for all of the one before."""
    tasks = []
    for layer in range(count // (width + 1)):
        tasks += [(f"l{layer}_{i}", [f"j{layer - 1}"] if layer else []) for i in range(width)]
        tasks.append((f"j{layer}", [f"l{layer}_{i}" for i in range(width)]))
    return tasks
