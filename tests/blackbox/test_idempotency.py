"""G2: the same Idempotency-Key gives the same run."""
import concurrent.futures
import signal
import uuid

from support import Client, dag

QUICK = dag({"id": "a", "command": "true"})


def fresh(name="key"):
    return f"{name}-{uuid.uuid4()}"


def key_of(text=None):
    return {"Idempotency-Key": text or str(uuid.uuid4())}


def test_the_same_key_gives_the_same_run(shared):
    made = shared.create(fresh(), QUICK)["id"]
    key = key_of()
    first = shared.post(f"/api/v1/dags/{made}/runs", None, 202, key).json
    shared.wait_run(first["runId"])
    second = shared.post(f"/api/v1/dags/{made}/runs", None, 202, key).json
    assert second["runId"] == first["runId"] and second["state"] == "succeeded"
    assert shared.post(f"/api/v1/dags/{made}/runs", {}, 202, key).json["runId"] == first["runId"]
    assert len(shared.get(f"/api/v1/dags/{made}/runs").json) == 1
    assert shared.trigger(made) != first["runId"]


def test_keys_are_a_dags_own(shared):
    one, two = (shared.create(fresh(), QUICK)["id"] for _ in range(2))
    key = key_of()
    assert shared.trigger(one, **key) != shared.trigger(two, **key)


def test_another_body_is_refused(shared):
    made = shared.create(fresh(), dag({"id": "a", "command": "false"}))["id"]
    source = shared.wait_run(shared.trigger(made))["runId"]
    key = key_of()
    target = f"/api/v1/runs/{source}/rerun"
    first = shared.post(target, {"from": "failed"}, 202, key).json["runId"]
    assert shared.post(target, {"from": "failed"}, 202, key).json["runId"] == first
    other = shared.post(target, {"from": "all"}, None, key)
    assert other.status == 422 and other.code == "IDEMPOTENCY_MISMATCH"
    trigger = shared.post(f"/api/v1/dags/{made}/runs", None, None, key)
    assert trigger.status == 422, trigger


def test_letters_take_keys(shared):
    run = shared.execute(fresh(), dag({"id": "a", "command": "false"}))
    letter = next(one for one in shared.get("/api/v1/dlq?limit=1000").json if one["runId"] == run["runId"])
    key = key_of()
    first = shared.post(f"/api/v1/dlq/{letter['id']}/retry", {}, 202, key).json["runId"]
    assert shared.post(f"/api/v1/dlq/{letter['id']}/retry", {}, 202, key).json["runId"] == first
    assert shared.post(f"/api/v1/dlq/{letter['id']}/retry", {}).status == 409


def test_length_of_keys(shared):
    made = shared.create(fresh(), QUICK)["id"]
    shared.post(f"/api/v1/dags/{made}/runs", None, 202, key_of("k" * 255))
    for text in ("k" * 256, " "):
        answer = shared.send("POST", f"/api/v1/dags/{made}/runs", None, {"Idempotency-Key": text})
        assert answer.status == 400, (text, answer)


def test_across_restart_and_kill(make_daemon):
    daemon = make_daemon().start()
    made = daemon.create("restart", QUICK)["id"]
    key = key_of()
    first = daemon.trigger(made, **key)
    daemon.kill()
    daemon.start()
    assert daemon.trigger(made, **key) == first
    daemon.wait_run(first)
    daemon.stop()
    daemon.start()
    assert daemon.trigger(made, **key) == first
    assert len(daemon.get("/api/v1/runs").json) == 1


def test_at_the_same_moment(shared):
    """Sixteen clients with one key, again and again: one run each time."""
    made = shared.create(fresh(), QUICK)["id"]

    def ask(key):
        with Client(shared.port) as client:
            answer = client.send("POST", f"/api/v1/dags/{made}/runs", None, {"Idempotency-Key": key})
            assert answer.status == 202, answer
            return answer.json["runId"]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for i in range(10):
            assert len(set(pool.map(ask, [f"round{i}"] * 16))) == 1
    assert len(shared.get(f"/api/v1/dags/{made}/runs?limit=1000").json) == 10


def test_a_kill_between_request_and_answer(make_daemon):
    """Requests are under way when the daemon is killed; sent again with their keys, each has made exactly one run."""
    daemon = make_daemon().start()
    made = daemon.create("killed", QUICK)["id"]
    keys = [str(uuid.uuid4()) for _ in range(60)]
    answered = {}

    def ask(key):
        try:
            with Client(daemon.port) as client:
                answer = client.send("POST", f"/api/v1/dags/{made}/runs", None, {"Idempotency-Key": key})
                if answer.status == 202:
                    answered[key] = answer.json["runId"]
                    if len(answered) == 20:
                        daemon.signal(signal.SIGKILL)
        except OSError:
            pass
        except Exception as error:  # a connection that ends inside an answer
            assert type(error).__module__ == "http.client", error

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, keys))
    daemon.wait()
    daemon.start()
    again = {key: daemon.trigger(made, **{"Idempotency-Key": key}) for key in keys}
    assert {key: again[key] for key in answered} == answered and len(answered) >= 20
    assert len(set(again.values())) == len(keys)
    assert len(daemon.get(f"/api/v1/dags/{made}/runs?limit=1000").json) == len(keys)
