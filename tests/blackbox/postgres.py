"""A PostgreSQL server of the tests' own: Debian's programs, a directory of its own, a socket in it, no port."""
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import urllib.parse

from support import eventually, wait_pid_gone


def programs():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    return os.environ.get("PAWL_PG_BIN") or (found[-1] if found else None)


class Postgres:
    """start() and stop() as often as one likes; the data stays until close()."""

    def __init__(self):
        self.bin = programs()
        assert self.bin, "no PostgreSQL server is installed (tools/install-deps check)"
        self.folder = tempfile.mkdtemp(prefix="pawl-pg-")
        self.data = os.path.join(self.folder, "data")
        self.process = None
        self.names = 0
        self.user = None
        if os.geteuid() == 0:
            names = [entry.pw_name for entry in pwd.getpwall()]
            self.user = "postgres" if "postgres" in names else "nobody"
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, pwd.getpwnam(self.user).pw_gid)
        self.call("initdb", "-N", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-U", "pawl", "-D", self.data)
        self.start()

    def call(self, program, *arguments):
        return subprocess.run([os.path.join(self.bin, program), *arguments], user=self.user, cwd=self.folder,
                              stdin=subprocess.DEVNULL, capture_output=True, check=True, text=True,
                              extra_groups=[] if self.user else None).stdout

    def start(self):
        self.process = self.run_server(self.data, self.folder)
        eventually(self.is_ready, "a PostgreSQL server")

    def run_server(self, data, folder):
        """A server on `data`, with its socket and log in `folder`."""
        with open(os.path.join(folder, "log"), "ab") as log:
            return subprocess.Popen(
                [os.path.join(self.bin, "postgres"), "-D", data, "-k", folder, "-c", "listen_addresses=", "-c",
                 "fsync=off", "-c", "shared_buffers=32MB", "-c", "max_connections=100"],
                user=self.user, extra_groups=[] if self.user else None, cwd=folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)

    def is_ready(self):
        return subprocess.run([os.path.join(self.bin, "pg_isready"), "-q", "-h", self.folder], check=False,
                              stdin=subprocess.DEVNULL).returncode == 0

    def stop(self, number=signal.SIGINT):
        """Connections are cut; SIGQUIT: as if it had crashed."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            wait_pid_gone(self.process.pid)
            self.process.wait()
        self.process = None

    def database(self):
        """The URL of a new database."""
        self.names += 1
        self.call("createdb", "-h", self.folder, "-U", "pawl", f"t{self.names}")
        return f"postgresql://pawl@/t{self.names}?host={urllib.parse.quote(self.folder, safe='')}"

    def sql(self, url, text):
        return self.call("psql", "-XAtqc", text, url).strip()

    def close(self):
        self.stop()
        shutil.rmtree(self.folder)
