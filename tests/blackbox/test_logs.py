"""Logs, by byte range and while they grow."""
import os
import threading
import urllib.parse
import uuid

import pytest
from support import Client, EventStream, dag, eventually


def fresh(name="log"):
    return f"{name}-{uuid.uuid4()}"


def log_target(run_id, task="a", **query):
    target = f"/api/v1/runs/{run_id}/tasks/{urllib.parse.quote(task, safe='')}/log"
    return target + ("?" + urllib.parse.urlencode(query) if query else "")


class Follower:
    """Reads a followed log piece by piece."""

    def __init__(self, daemon, target):
        self.stream = EventStream(daemon.port, target)
        assert self.stream.reply.status == 200
        self.text = b""

    def until(self, wanted):
        while wanted not in self.text:
            piece = self.stream.reply.read1(65536)
            assert piece, f"the log ended without {wanted!r}: {self.text!r}"
            self.text += piece
        return self

    def rest(self):
        self.text += self.stream.reply.read()
        self.stream.close()
        return self.text


def test_ranges(shared):
    run = shared.execute(fresh(), dag({"id": "a", "command": "printf 0123456789"}))
    run_id = run["runId"]
    whole = shared.get(log_target(run_id))
    assert whole.body == b"0123456789" and whole.headers["x-log-size"] == "10"
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert whole.headers["x-content-type-options"] == "nosniff"
    for offset, limit, wanted in ((0, 4, b"0123"), (4, 4, b"4567"), (8, 4, b"89"), (9, 1, b"9")):
        assert shared.get(log_target(run_id, offset=offset, limit=limit)).body == wanted
    for offset in (10, 11, 2 ** 62):
        past = shared.get(log_target(run_id, offset=offset))
        assert past.body == b"" and past.headers["x-log-size"] == "10"
    instance = run["tasks"][0]["taskInstanceId"]
    assert shared.get(f"/api/v1/task-instances/{instance}/log?offset=5").body == b"56789"
    head = shared.send("HEAD", log_target(run_id))
    assert head.status == 200 and head.body == b"" and head.headers["x-log-size"] == "10"


@pytest.mark.parametrize("query", ["limit=0", f"limit={16 * 1024 * 1024 + 1}", "offset=-1", "offset=x", "attempt=0",
                                   "attempt=x", "follow=maybe", "after=1"])
def test_bad_queries(shared, query):
    run_id = shared.execute(fresh(), dag({"id": "a", "command": "true"}))["runId"]
    assert shared.get(log_target(run_id) + "?" + query, 400).code == "BAD_REQUEST"


def test_who_is_not_there(shared):
    run = shared.execute(fresh(), dag({"id": "a", "command": "true"}))
    run_id = run["runId"]
    assert shared.get(log_target(uuid.uuid4()), 404).code == "RUN_NOT_FOUND"
    assert shared.get(log_target(run_id, "b"), 404).code == "TASK_NOT_FOUND"
    assert shared.get(log_target(run_id, attempt=2), 404).code == "NOT_FOUND"
    assert shared.get(log_target(run_id, attempt=2, follow="true"), 404).code == "NOT_FOUND"
    assert shared.get(f"/api/v1/task-instances/{uuid.uuid4()}/log", 404).code == "TASK_NOT_FOUND"
    beyond = uuid.UUID(int=uuid.UUID(run["tasks"][0]["taskInstanceId"]).int + 1)
    assert shared.get(f"/api/v1/task-instances/{beyond}/log", 404).code == "TASK_NOT_FOUND"


def test_ids_are_no_paths(shared):
    odd = ["a/b", "../../pawl.db", "..%2f", "a b", "ü/…", "%2F"]
    run = shared.execute(fresh(), dag(*[{"id": one, "command": ["printf", "%s", one]} for one in odd]))
    assert run["state"] == "succeeded"
    for one in odd:
        assert shared.log_of(run["runId"], one) == one
    files = [os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(shared.data, "logs")) for name in names]
    assert all(os.path.basename(path).replace(".log", "").replace(".", "").isdigit() for path in files)
    plain = shared.send("GET", f"/api/v1/runs/{run['runId']}/tasks/a/b/log")
    assert plain.status == 404


def test_markup_stays_text(shared):
    run = shared.execute(fresh(), dag({"id": "a", "command": ["printf", "<script>alert(1)</script>"]}))
    answer = shared.get(log_target(run["runId"]))
    assert answer.text == "<script>alert(1)</script>" and answer.headers["content-type"].startswith("text/plain")


def test_bytes_are_kept(shared):
    run = shared.execute(fresh(), dag({"id": "a", "command": "printf '\\000\\377\\033[31m\\r\\n'"}))
    assert shared.get(log_target(run["runId"])).body == b"\0\xff\x1b[31m\r\n"


def test_stdout_and_stderr_keep_their_order(shared):
    run = shared.execute(fresh(), dag({"id": "a", "command": "for i in 1 2 3; do echo out$i; echo err$i >&2; done"}))
    assert shared.log_of(run["runId"], "a").split() == ["out1", "err1", "out2", "err2", "out3", "err3"]


def test_not_started_yet(make_daemon, gate):
    daemon, waits = make_daemon("--workers", "1", "--slots", "1").start(), gate()
    run_id = daemon.start_run("waiting", dag({"id": "first", "command": waits.command("echo first")},
                                             {"id": "second", "command": "echo second", "dependencies": ["first"]},
                                             {"id": "never", "command": "true", "dependencies": ["second"]}))
    waits.wait_arrival()
    for task in ("first", "second"):
        answer = daemon.get(log_target(run_id, task))
        assert answer.body == b"" and answer.headers["x-log-size"] == "0"
    follower = Follower(daemon, log_target(run_id, "second", follow="true"))
    waits.open()
    assert follower.rest() == b"second\n"


def test_follow(shared, gate):
    waits = gate()
    run_id = shared.start_run(fresh(), dag({"id": "a", "command": "echo one; " + waits.command("echo two; ")
                                            + waits.command("echo three")}))
    first, second = (Follower(shared, log_target(run_id, follow="true")) for _ in range(2))
    late = Follower(shared, log_target(run_id, follow="true", offset=4))
    for follower in (first, second):
        follower.until(b"one\n")
    waits.wait_arrival()
    assert shared.get(log_target(run_id)).body == b"one\n"
    waits.open()
    for follower in (first, second, late):
        follower.until(b"two\n")
    waits.wait_arrival()
    waits.open()
    assert first.rest() == second.rest() == b"one\ntwo\nthree\n"
    assert late.rest() == b"two\nthree\n"
    assert Follower(shared, log_target(run_id, follow="true")).rest() == b"one\ntwo\nthree\n"
    assert Follower(shared, log_target(run_id, follow="true", offset=4, limit=3)).rest() == b"two"


def test_follow_ends_with_the_attempt_not_the_task(shared, gate):
    waits = gate()
    run_id = shared.start_run(fresh(), dag({
        "id": "a", "command": "echo $PAWL_ATTEMPT; " + waits.command("[ $PAWL_ATTEMPT = 2 ]"),
        "retry": {"maxAttempts": 2, "initialDelay": "1ms"}}))
    first = Follower(shared, log_target(run_id, follow="true")).until(b"1\n")
    waits.wait_arrival()
    next_one = Follower(shared, log_target(run_id, follow="true", attempt=2))
    waits.open()
    assert first.rest() == b"1\n"
    waits.wait_arrival()
    waits.open()
    assert next_one.rest() == b"2\n"
    assert shared.wait_run(run_id)["state"] == "succeeded"


def test_follow_ends_when_there_will_be_no_attempt(shared, gate):
    waits = gate()
    run_id = shared.start_run(fresh(), dag({"id": "a", "command": waits.command("exit 1")},
                                           {"id": "b", "command": "true", "dependencies": ["a"]}))
    waits.wait_arrival()
    skipped = Follower(shared, log_target(run_id, "b", follow="true"))
    waits.open()
    assert skipped.rest() == b""
    again = gate("again")
    run_id = shared.start_run(fresh(), dag({"id": "a", "command": again.command()}))
    again.wait_arrival()
    canceled = Follower(shared, log_target(run_id, follow="true"))
    shared.post(f"/api/v1/runs/{run_id}/cancel", None, 202)
    assert canceled.rest() == b""


def test_a_large_log_is_cut_and_says_so(make_daemon):
    daemon = make_daemon("--log-bytes-max", "64KiB").start()
    run = daemon.execute("large", dag({"id": "a", "command": "yes 0123456789abcdef | head -c 300000; exit 0"}))
    assert run["state"] == "succeeded"
    answer = daemon.get(log_target(run["runId"]))
    assert 64 * 1024 <= len(answer.body) < 66 * 1024 and answer.headers["x-log-size"] == str(len(answer.body))
    assert b"0123456789abcdef\n" * 3000 in answer.body
    assert not answer.body.endswith(b"0123456789abcdef\n"), answer.body[-200:]


def test_many_pages_make_the_whole(shared):
    run = shared.execute(fresh(), dag({"id": "a", "command": "seq 1 200000"}))
    whole, offset, pages = b"", 0, 0
    with shared.client() as client:
        while True:
            answer = client.send("GET", log_target(run["runId"], offset=offset, limit=100_003))
            if not answer.body:
                break
            whole, offset, pages = whole + answer.body, offset + len(answer.body), pages + 1
    assert whole == b"".join(b"%d\n" % n for n in range(1, 200001)) and pages == len(whole) // 100_003 + 1


def test_followers_who_leave_cost_nothing(make_daemon, gate):
    daemon, waits = make_daemon().start(), gate()
    run_id = daemon.start_run("leavers", dag({"id": "a", "command": "echo x; " + waits.command("echo y")}))
    waits.wait_arrival()
    daemon.get(log_target(run_id))
    before = daemon.open_files()
    followers = [Follower(daemon, log_target(run_id, follow="true")).until(b"x\n") for _ in range(50)]
    assert daemon.open_files() >= before + 50
    stays = followers.pop()
    for follower in followers:
        follower.stream.close()
    waits.open()
    assert stays.rest() == b"x\ny\n"
    daemon.wait_run(run_id)
    eventually(lambda: daemon.open_files() <= before, "followers' descriptors are closed")


def test_a_task_is_never_blocked_by_its_log(make_daemon):
    """Nobody reads, much is written, the disk's part is capped."""
    daemon = make_daemon("--log-bytes-max", "4KiB").start()
    run = daemon.execute("chatty", dag({"id": "a", "command": "head -c 20000000 /dev/zero; echo end"}))
    assert run["state"] == "succeeded"


def test_logs_of_many_at_once(shared):
    """The same log by many readers at once: every answer is whole."""
    run = shared.execute(fresh(), dag({"id": "a", "command": "seq 1 50000"}))
    wanted = b"".join(b"%d\n" % n for n in range(1, 50001))
    wrong = []

    def read():
        with Client(shared.port) as client:
            for _ in range(10):
                if client.send("GET", log_target(run["runId"])).body != wanted:
                    wrong.append(1)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def peak_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def test_a_log_of_a_gigabyte_needs_no_memory(daemon):
    """By byte range from anywhere, and followed from far behind: sent from the file, whatever its size."""
    size, piece = 1 << 30, 16 * 1024 * 1024
    run = daemon.execute(fresh(), dag({"id": "a", "command": "head -c 100000 /dev/zero | tr '\\0' x"}))
    (path,) = [os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(daemon.folder, "data", "logs"))
               for name in names]
    os.truncate(path, size)
    with open(path, "r+b") as log:
        for at, text in ((size // 2, b"middle\n"), (size - 4, b"end\n")):
            log.seek(at)
            log.write(text)
    before = peak_bytes(daemon.pid)
    whole = daemon.get(log_target(run["runId"], limit=1))
    assert whole.body == b"x" and whole.headers["x-log-size"] == str(size)
    for at in range(0, size, piece * 4):
        assert len(daemon.get(log_target(run["runId"], offset=at, limit=piece)).body) == piece
    assert daemon.get(log_target(run["runId"], offset=size // 2, limit=7)).body == b"middle\n"
    assert daemon.get(log_target(run["runId"], offset=size - 4)).body == b"end\n"
    follower = Follower(daemon, log_target(run["runId"], offset=size - 8 * piece, follow="true"))
    assert follower.rest()[-4:] == b"end\n"
    assert peak_bytes(daemon.pid) - before < 2 * piece
