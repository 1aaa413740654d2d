"""pawl doctor: what it says of a sound place, and of places where a daemon would not work."""
import json
import os
import socket
import subprocess

from support import dag, pawl_path


def doctor(*options, status=0, env=None):
    done = subprocess.run([pawl_path(), "doctor", "-o", "json", *options], capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, env=dict(os.environ, **(env or {})))
    assert done.returncode == status, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert answer["status"] in (("fail",) if status else ("ok", "warn"))
    found = {}
    for check in answer["checks"]:
        found.setdefault(check["check"], check)
    return found


def test_a_sound_place(make_daemon):
    daemon = make_daemon()
    found = doctor("--data", daemon.data, "--listen", "127.0.0.1:0")
    assert "not there yet" in found["data directory"]["message"] and not os.path.exists(daemon.data)
    daemon.start()
    daemon.execute("a", dag({"id": "a", "command": "true"}))
    found = doctor("--data", daemon.data, "--listen", f"127.0.0.1:{daemon.port}")
    assert f"pid {daemon.pid} " in found["daemon"]["message"]
    assert found["store"]["message"].startswith("1 DAGs, 0 active runs")
    assert found["address"]["status"] == "ok" and "in use" in found["address"]["message"]
    is_certain = daemon.get("/health").json["components"]["isolation"]["kind"] == "cgroup"
    assert found["cgroup"]["status"] == ("ok" if is_certain else "warn"), found["cgroup"]
    text = subprocess.run([pawl_path(), "doctor", "--data", daemon.data, "--listen", "127.0.0.1:0"],
                          capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout
    assert text.startswith("CHECK") and "time zones" in text


def test_what_would_not_work(make_daemon, tmp_path):
    daemon = make_daemon().start()
    daemon.stop()
    with socket.create_server(("127.0.0.1", 0)) as other:
        found = doctor("--data", daemon.data, "--listen", f"127.0.0.1:{other.getsockname()[1]}", status=1)
    assert found["address"]["status"] == "fail" and "in use" in found["address"]["message"]
    assert doctor("--data", daemon.data, "--listen", "0.0.0.0:0", status=1)["access"]["status"] == "fail"
    here = ["--data", daemon.data, "--listen", "127.0.0.1:0"]
    found = doctor(*here, "--secret", f"S=file:{tmp_path}/none", status=1)
    assert found["secret"]["status"] == "fail" and "none" in found["secret"]["message"]
    assert doctor(*here, "--secret", "S=env:NO_SUCH_THING")["secret"]["status"] == "warn"
    assert doctor(*here, "--require-token")["access"]["status"] == "warn"
    assert doctor(*here, env={"PATH": "/nowhere"})["python"]["status"] == "warn"
    os.chmod(daemon.data, 0o755)
    assert doctor(*here, status=1)["data directory"]["status"] == "fail"
    os.chmod(daemon.data, 0o700)
    with open(os.path.join(daemon.data, "pawl.db"), "r+b") as store:
        store.write(b"not a store, not at all")
    assert doctor(*here, status=1)["store"]["status"] == "fail"
    with open(os.path.join(daemon.data, "pawl.db"), "r+b") as store:
        store.truncate(0)
