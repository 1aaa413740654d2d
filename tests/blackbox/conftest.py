"""Fixtures: a daemon of one's own (`make_daemon`), one with the defaults (`daemon`), one shared by a file's tests
(`shared`), a PostgreSQL shared by a file's tests (`postgres`). What a test leaves behind fails it."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from postgres import Postgres  # noqa: E402
from support import Daemon, Gate, pawl_path  # noqa: E402


def pytest_configure(config):
    if not os.access(pawl_path(), os.X_OK):
        pytest.exit(f"{pawl_path()} is not there: build it, or set PAWL", returncode=3)
    config.addinivalue_line("markers", "load: many clients or many tasks")


@pytest.fixture
def make_daemon(tmp_path):
    """make_daemon("--slots", "1", env={...}): not started. All of a test's daemons are ended after it."""
    made = []

    def make(*options, env=None, folder=None):
        home = folder or tmp_path / f"daemon{len(made)}"
        os.makedirs(home, exist_ok=True)
        one = Daemon(home, "--log-level", "debug", *options, env=env)
        made.append(one)
        return one

    yield make
    findings = [finding for one in reversed(made) for finding in one.close()]
    assert not findings, "\n".join(findings)


@pytest.fixture
def daemon(make_daemon):
    return make_daemon().start()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    one = Daemon(tmp_path_factory.mktemp("shared"), "--log-level", "debug").start()
    yield one
    findings = one.close()
    assert not findings, "\n".join(findings)


@pytest.fixture(scope="module")
def postgres():
    server = Postgres()
    yield server
    server.close()


@pytest.fixture
def gate(tmp_path):
    """gate("name"): a Gate."""
    made = []

    def make(name="gate"):
        made.append(Gate(tmp_path, name))
        return made[-1]

    yield make
    for one in made:
        one.close()
