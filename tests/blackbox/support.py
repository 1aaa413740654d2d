"""A real daemon and what tests ask of it.

Nothing here waits for time to pass: runs are waited for on their event streams, tasks meet the test at named pipes
(Gate), processes at their pidfd. `eventually` is for the little that has no event; it fails after PATIENCE seconds.
"""
import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import time
import urllib.parse

PATIENCE = int(os.environ.get("PAWL_TEST_PATIENCE", "90"))
TERMINAL_RUN = {"succeeded", "failed", "canceled"}
TERMINAL_TASK = {"succeeded", "failed", "skipped", "canceled"}


def pawl_path():
    return os.path.abspath(os.environ.get("PAWL") or os.path.join(source_root(), "build", "pawl"))


def source_root():
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Deadline:
    def __init__(self, seconds=PATIENCE):
        self.at = time.monotonic() + seconds

    def left(self):
        return max(0.0, self.at - time.monotonic())

    def passed(self):
        return time.monotonic() >= self.at


def eventually(check, what, seconds=PATIENCE):
    """The first true answer of check(). For things that announce themselves nowhere."""
    deadline = Deadline(seconds)
    idle = select.poll()
    while True:
        answer = check()
        if answer:
            return answer
        if deadline.passed():
            raise AssertionError(f"never came: {what}")
        idle.poll(10)


def wait_pid_gone(pid, seconds=PATIENCE):
    """By pidfd, so that a process that is not our child can be waited for too."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        waiter = select.poll()
        waiter.register(fd, select.POLLIN)
        assert waiter.poll(seconds * 1000), f"process {pid} does not end"
    finally:
        os.close(fd)


def process_state(pid):
    """The state letter of /proc/PID/stat; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0].decode()
    except (FileNotFoundError, ProcessLookupError):
        return None


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children_of(pid):
    return [other for other in all_pids() if parent_of(other) == pid]


def processes_of(folder):
    """Processes that name the folder in their arguments or environment, or work in it; zombies have neither."""
    needle = os.path.realpath(folder).encode()
    found = []
    for pid in all_pids():
        if pid == os.getpid():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cmdline", "rb") as arguments, open(f"/proc/{pid}/environ", "rb") as environment:
                if needle in arguments.read() or needle in environment.read():
                    found.append(pid)
                    continue
            if os.readlink(f"/proc/{pid}/cwd").encode().startswith(needle):
                found.append(pid)
    return found


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The `code` of an error."""
        return self.json["code"]

    def __repr__(self):
        return f"<{self.status} {self.body[:500]!r}>"


class Client:
    """One connection, kept open; for one thread."""

    def __init__(self, port, timeout=PATIENCE):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.connection.close()

    def send(self, method, target, body=None, headers=None):
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        self.connection.request(method, target, body, headers)
        reply = self.connection.getresponse()
        return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())


class Event:
    def __init__(self, name, id_, data):
        self.name, self.id, self.data = name, id_, data

    def __repr__(self):
        return f"<{self.name} {self.id} {self.data}>"


class EventStream:
    """A text/event-stream. Iterating ends with the stream; PATIENCE seconds without an event are an error."""

    def __init__(self, port, target, last_id=None, timeout=PATIENCE):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        headers = {"Accept": "text/event-stream"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        self.connection.request("GET", target, headers=headers)
        self.reply = self.connection.getresponse()
        self.last_id = ""
        self.comments = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.reply.close()
        self.connection.close()

    def __iter__(self):
        name, data, deadline = "message", [], Deadline()
        for raw in self.reply:
            line = raw.decode().rstrip("\n")
            assert not deadline.passed(), "heartbeats, but no event"
            if not line:
                if data:
                    yield Event(name, self.last_id, json.loads("\n".join(data)))
                    deadline = Deadline()
                name, data = "message", []
                continue
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "":
                self.comments += 1
            elif field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                self.last_id = value

    def wait_for(self, wanted, seconds=PATIENCE):
        """The first event for which wanted(event) is true."""
        deadline = Deadline(seconds)
        for event in self:
            if wanted(event):
                return event
            assert not deadline.passed(), "the event never came"
        raise AssertionError("the stream ended without the event")


class Daemon:
    """`pawl serve` on a directory. Each start is a new process, `pid` the present or last one."""

    def __init__(self, folder, *options, env=None):
        self.folder = str(folder)
        self.data = os.path.join(self.folder, "data")
        self.options = list(options)
        self.env = dict(os.environ, **(env or {}))
        self.wrap = []              # a program that becomes the daemon
        self.program = pawl_path()
        self.process = None
        self.port = None
        self.starts = 0
        self.expected_status = 0

    # ---- life ----

    @property
    def pid(self):
        return self.process.pid

    @property
    def log_path(self):
        return os.path.join(self.folder, f"serve.{self.starts}.log")

    def log(self):
        """What the present process wrote to stderr."""
        with open(self.log_path, encoding="utf-8", errors="replace") as text:
            return text.read()

    def spawn(self, *options):
        self.starts += 1
        with open(self.log_path, "wb") as stderr:
            self.process = subprocess.Popen(
                [*self.wrap, self.program, "serve", "--data", self.data, "--listen", "127.0.0.1:0", *self.options, *options],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, env=self.env, cwd=self.folder)
        return self

    def start(self, *options):
        self.spawn(*options)
        line = self.read_line()
        assert line.startswith("listening on http://127.0.0.1:"), f"{line!r}; stderr: {self.log()}"
        self.port = int(line.rsplit(":", 1)[1])
        given = self.options + list(options)
        wanted = int(given[given.index("--workers") + 1]) if "--workers" in given else 4
        eventually(lambda: len(self.workers()) >= wanted, f"{wanted} workers")
        return self

    def read_line(self):
        """The first line on stdout; "" when it ended without one."""
        deadline, line = Deadline(), b""
        out = self.process.stdout.fileno()
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([out], [], [], deadline.left())
            assert ready, f"serve says nothing; stderr: {self.log()}"
            piece = os.read(out, 1)
            if not piece:
                break
            line += piece
        return line.decode()

    def wait(self, seconds=PATIENCE):
        """Its exit status."""
        wait_pid_gone(self.pid, seconds)
        status = self.process.wait()
        self.process.stdout.close()
        return status

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, seconds=PATIENCE):
        """SIGTERM, drained, exit 0."""
        self.signal(signal.SIGTERM)
        status = self.wait(seconds)
        assert status == 0, f"serve ended with {status}: {self.log()}"

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait()

    def is_running(self):
        return self.process is not None and self.process.returncode is None and self.process.poll() is None

    def close(self):
        """Ends everything, whatever the test left. Returns what should not be there."""
        findings = []
        if self.is_running():
            self.signal(signal.SIGQUIT)
            status = self.wait()
            if status:
                findings.append(f"serve ended with {status}")
        if os.path.isdir(self.data):
            stop = subprocess.run([*self.wrap, self.program, "stop", "--kill", "--data", self.data],
                                  capture_output=True,
                                  stdin=subprocess.DEVNULL, timeout=PATIENCE, env=self.env, check=False)
            if stop.returncode:
                findings.append(f"stop --kill: {stop.returncode} {stop.stderr.decode()}")
        findings += self.leftovers()
        for pid in processes_of(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return findings

    def leftovers(self):
        """Processes that still belong to the directory, and sanitizers' complaints."""
        findings = []
        for pid in processes_of(self.folder):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", "rb") as arguments:
                    line = arguments.read().replace(b"\0", b" ").decode(errors="replace")
                findings.append(f"process {pid} is left: {line}")
        for number in range(1, self.starts + 1):
            with open(os.path.join(self.folder, f"serve.{number}.log"), encoding="utf-8", errors="replace") as text:
                lines = text.read()
            for sign in ("Sanitizer", "runtime error:", "Assertion", "assertion"):
                if sign in lines:
                    findings.append(f"serve.{number}.log:\n{lines[-4000:]}")
                    break
        return findings

    # ---- the API ----

    def client(self, timeout=PATIENCE):
        return Client(self.port, timeout)

    def send(self, method, target, body=None, headers=None):
        with self.client() as client:
            return client.send(method, target, body, headers)

    def get(self, target, status=200):
        answer = self.send("GET", target)
        assert answer.status == status, f"GET {target}: {answer}"
        return answer

    def post(self, target, body=None, status=None, headers=None):
        answer = self.send("POST", target, body, headers)
        if status is not None:
            assert answer.status == status, f"POST {target}: {answer}"
        return answer

    def events(self, run_id=None, last_id=None, timeout=PATIENCE):
        target = f"/api/v1/runs/{run_id}/events" if run_id else "/api/v1/events"
        stream = EventStream(self.port, target, last_id, timeout)
        assert stream.reply.status == 200, stream.reply.read()
        return stream

    def create(self, name, yaml):
        return self.post("/api/v1/dags", {"name": name, "yaml": yaml}, 201).json

    def trigger(self, dag_id, **headers):
        return self.post(f"/api/v1/dags/{dag_id}/runs", None, 202, headers).json["runId"]

    def start_run(self, name, yaml):
        """A new DAG and a run of it: the run's id."""
        return self.trigger(self.create(name, yaml)["id"])

    def run(self, run_id):
        return self.get(f"/api/v1/runs/{run_id}").json

    def wait_run(self, run_id, seconds=PATIENCE):
        """Its RunStatus once it has ended. A stream that ends earlier was dropped: too much happened at once. The next
        one begins with the run as it is."""
        deadline = Deadline(seconds)
        while True:
            with self.events(run_id) as stream:
                for event in stream:
                    if event.name == "run" and event.data["state"] in TERMINAL_RUN:
                        return self.run(run_id)
                    assert not deadline.passed(), f"run {run_id} does not end: {self.run(run_id)['counts']}"

    def execute(self, name, yaml):
        """A new DAG, run to its end: the RunStatus."""
        return self.wait_run(self.start_run(name, yaml))

    def wait_task(self, run_id, task_id, wanted, seconds=PATIENCE):
        """The first TaskStatus of the task for which wanted(task) is true."""
        with self.events(run_id) as stream:
            task = self.task(run_id, task_id)
            if wanted(task):
                return task
            return stream.wait_for(lambda e: e.name == "task" and e.data["taskId"] == task_id and wanted(e.data),
                                   seconds).data

    def task(self, run_id, task_id):
        return tasks_by_id(self.run(run_id))[task_id]

    def log_of(self, run_id, task_id, **query):
        target = f"/api/v1/runs/{run_id}/tasks/{urllib.parse.quote(task_id, safe='')}/log"
        if query:
            target += "?" + urllib.parse.urlencode(query)
        return self.get(target).text

    def workers(self):
        return self.get("/api/v1/workers").json

    def worker_pids(self):
        return [pid for pid in children_of(self.pid) if process_state(pid) != "Z"]

    def open_files(self):
        """How many descriptors it has, without those of the store, whose readers are a pool."""
        names = []
        for number in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(OSError):
                names.append(os.readlink(f"/proc/{self.pid}/fd/{number}"))
        return len([name for name in names if "/pawl.db" not in name])


def tasks_by_id(status):
    return {task["taskId"]: task for task in status["tasks"]}


def states(status):
    return {task["taskId"]: task["state"] for task in status["tasks"]}


class Gate:
    """Where a task meets the test: the task says that it is there and waits to be let on.

        shell(gate)         `echo $$ > here; read word < go`: the task's command
        wait_arrival()      its pid, once it is there
        open()              lets one task on; with a word, when no other task reads it at the same time
    """

    def __init__(self, folder, name):
        self.here = os.path.join(str(folder), f"{name}.here")
        self.go = os.path.join(str(folder), f"{name}.go")
        os.mkfifo(self.here)
        os.mkfifo(self.go)
        # Read and write, so that neither side ever waits for the other to open.
        self.here_fd = os.open(self.here, os.O_RDWR | os.O_NONBLOCK)
        self.go_fd = os.open(self.go, os.O_RDWR | os.O_NONBLOCK)
        self.rest = b""

    def close(self):
        os.close(self.here_fd)
        os.close(self.go_fd)

    def command(self, after="true"):
        """A shell command. $word is what open() was given."""
        return f"echo $$ > {self.here}; read word < {self.go}; {after}"

    def wait_arrival(self, seconds=PATIENCE):
        deadline = Deadline(seconds)
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.here_fd], [], [], deadline.left())
            assert ready, "no task came to the gate"
            self.rest += os.read(self.here_fd, 4096)
        line, _, self.rest = self.rest.partition(b"\n")
        return int(line)

    def arrivals(self):
        """How many more came, without waiting."""
        with contextlib.suppress(BlockingIOError):
            self.rest += os.read(self.here_fd, 65536)
        return self.rest.count(b"\n")

    def open(self, word=""):
        os.write(self.go_fd, word.encode() + b"\n")


def dag(*tasks, **fields):
    """A DAG file as JSON, which is YAML: dag({"id": "a", "command": "true"}, timeout="5m")."""
    full = [{"type": "shell", **task} for task in tasks]
    return json.dumps({"name": "unnamed", **fields, "tasks": full})


def raw_exchange(port, pieces, seconds=PATIENCE, half_close=False):
    """Sends bytes as they are; all that comes back until the server closes or is silent for `seconds`."""
    if isinstance(pieces, bytes):
        pieces = [pieces]
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as peer:
        with contextlib.suppress(OSError):  # it may have closed already
            for piece in pieces:
                peer.sendall(piece)
            if half_close:
                peer.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while True:
                piece = peer.recv(65536)
                if not piece:
                    return received
                received += piece
    return received
