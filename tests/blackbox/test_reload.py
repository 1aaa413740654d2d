"""SIGHUP reads the settings again where that is safe, and the words for a service manager."""
import json
import os
import signal
import socket
import subprocess

from support import PATIENCE, Daemon, dag, eventually, pawl_path


def write(daemon, *lines):
    path = os.path.join(daemon.folder, "config")
    with open(path, "w", encoding="utf-8") as config:
        config.write("\n".join(lines) + "\n")
    return path


def hup(daemon, word, times=1):
    daemon.signal(signal.SIGHUP)
    eventually(lambda: daemon.log().count(word) == times, f"'{word}' in the log, {times} times")


def test_what_is_read_again(tmp_path):
    daemon = Daemon(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("from the first\n")
    other = tmp_path / "other"
    other.write_text("from the other\n")
    path = write(daemon, "log-level = warn", f"secret = S=file:{secret}", "workers = 2", "slots = 1")
    daemon.start("--config", path, "--workers", "2")
    try:
        tell = dag({"id": "s", "command": "test \"$S\" = 'from the other'"}, secrets=["S"])
        assert daemon.execute("first", tell)["state"] == "failed"
        assert '"level":"info"' not in daemon.log()
        write(daemon, "log-level = info", f"secret = S=file:{other}", "workers = 3", "slots = 2", "active-runs-max = 1",
              "keep-runs = 7")
        hup(daemon, "the settings were read again")
        log = daemon.log()
        for name in ("log-level", "secret", "active-runs-max", "keep-runs"):
            assert f"{name} has changed" in log
        assert "slots has changed; that takes a restart" in log
        assert "workers has changed" not in log  # a flag beats the file
        assert daemon.execute("second", tell)["state"] == "succeeded"
        write(daemon, "log-level = info", f"secret = S=file:{other}", "waiting-tasks-max = 1")
        hup(daemon, "waiting-tasks-max has changed")
        made = daemon.create("two", dag({"id": "a", "command": "true"}, {"id": "b", "command": "true"}))
        assert daemon.post(f"/api/v1/dags/{made['id']}/runs").status == 503
        write(daemon, "waiting-tasks-max = 100", "no-such-setting = 1")
        hup(daemon, "the settings stay as they were")
        assert f"{path}:2: unknown setting" in daemon.log()
        assert daemon.post(f"/api/v1/dags/{made['id']}/runs").status == 503
        write(daemon, "waiting-tasks-max = 100")
        hup(daemon, "the settings were read again", 3)
        assert daemon.wait_run(daemon.trigger(made["id"]))["state"] == "succeeded"
    finally:
        assert daemon.close() == []


def test_the_settings_in_use_are_told(make_daemon):
    """What takes a restart is told as it was at the start, whatever the file says since."""
    daemon = make_daemon(env={"PAWL_GRACE": "7s"})
    path = write(daemon, "keep-age = 3d", "slots = 3", "allowed-host = one.example", "allowed-host = two.example")
    daemon.start("--config", path, "--workers", "1")

    def told():
        return {one["name"]: one for one in daemon.get("/api/v1/config").json}
    first = told()
    assert first["workers"] | {"summary": ""} == {"name": "workers", "values": ["1"], "origin": "flag", "place": "flag --workers",
                                                  "reloads": False, "summary": ""}
    assert (first["grace"]["values"], first["grace"]["place"]) == (["7s"], "environment PAWL_GRACE")
    assert (first["keep-age"]["values"], first["keep-age"]["place"]) == (["3d"], f"{path}:1")
    assert first["allowed-host"]["values"] == ["one.example", "two.example"]
    assert (first["tls-key"]["values"], first["tls-key"]["origin"]) == ([], "default")
    printed = subprocess.run([pawl_path(), "serve", "--print-config", "--config", path], capture_output=True, text=True,
                             timeout=PATIENCE, check=True).stdout
    names = {line.lstrip("# ").split(" ")[0] for line in printed.splitlines()}
    assert names == set(first), "the same settings as --print-config"
    write(daemon, "", "keep-age = 4d", "slots = 4")
    hup(daemon, "the settings were read again")
    second = told()
    assert (second["keep-age"]["values"], second["keep-age"]["place"]) == (["4d"], f"{path}:2")
    assert (second["slots"]["values"], second["slots"]["place"]) == (["3"], f"{path}:2")
    assert {name for name in first if first[name]["reloads"]} >= {"keep-age", "secret", "drain"}


def test_retention_begins_without_a_restart(make_daemon):
    daemon = make_daemon()
    path = write(daemon, "keep-age = 1d")
    daemon.start("--config", path)
    run = daemon.execute("a", dag({"id": "a", "command": "true"}))["runId"]
    assert daemon.run(run)["state"] == "succeeded"
    write(daemon, "keep-runs = 1")
    hup(daemon, "keep-runs has changed")
    other = daemon.execute("b", dag({"id": "a", "command": "true"}))["runId"]
    eventually(lambda: daemon.send("GET", f"/api/v1/runs/{run}").status == 404, "the older run to go")
    assert daemon.run(other)["state"] == "succeeded"


def test_words_for_a_service_manager(make_daemon, tmp_path):
    path = str(tmp_path / "notify")
    for address, name in ((path, path), ("\0pawl-test-" + str(os.getpid()), "@pawl-test-" + str(os.getpid()))):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(address)
            manager.settimeout(60)
            daemon = make_daemon(env={"NOTIFY_SOCKET": name}).start()
            assert manager.recv(100) == b"READY=1"
            seen = daemon.execute("env", dag({"id": "a", "command": "test -z \"$NOTIFY_SOCKET\""}))
            assert seen["state"] == "succeeded", json.dumps(seen)
            daemon.signal(signal.SIGTERM)
            assert manager.recv(100) == b"STOPPING=1"
            assert daemon.wait() == 0
