"""The program as a person at a shell meets it: in a home of its own, in pipes and on a terminal."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

PATIENCE = 90


def pawl_path():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return os.path.abspath(os.environ.get("PAWL") or os.path.join(root, "build", "pawl"))


def home_env(home, **more):
    """An environment in which nothing of the caller's settings shows."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("PAWL_", "XDG_")) and name not in ("NO_COLOR", "TERM")}
    return {**kept, "HOME": str(home), "TERM": "xterm-256color", "PATH": os.environ["PATH"], **more}


class Shell:
    """pawl(...) in one home."""

    def __init__(self, home):
        self.home = home
        self.data = os.path.join(str(home), ".local/share/pawl")

    def __call__(self, *arguments, env=None, status=None, text=True, **options):
        done = subprocess.run([pawl_path(), *arguments], env=home_env(self.home, **(env or {})), check=False,
                              capture_output=True, text=text, cwd=options.pop("cwd", self.home), timeout=PATIENCE,
                              **({"stdin": subprocess.DEVNULL} if "input" not in options else {}), **options)
        if status is not None:
            assert done.returncode == status, f"{arguments} gave {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def file(self, name, text):
        path = os.path.join(str(self.home), name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


class Terminal:
    """A program on a terminal of so many columns."""

    def __init__(self, arguments, env, cwd, columns=80, rows=24):
        self.output = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execve(arguments[0], arguments, env)
        self.resize(columns, rows)

    def resize(self, columns, rows=24):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def _read(self, left):
        ready, _, _ = select.select([self.fd], [], [], left)
        assert ready, f"the terminal stays silent: {self.output[-2000:]!r}"
        try:
            piece = os.read(self.fd, 65536)
        except OSError:  # the last program on it has ended
            piece = b""
        self.output += piece
        return piece

    def wait_for(self, pattern, since=0):
        """Until the output from `since` on matches; the offset behind the match."""
        deadline = time.monotonic() + PATIENCE
        while True:
            match = re.search(pattern, self.output[since:])
            if match:
                return since + match.end()
            assert self._read(max(0, deadline - time.monotonic())), f"it ended: {self.output[-2000:]!r}"

    def finish(self):
        """Its exit status, once it has ended and all was read."""
        deadline = time.monotonic() + PATIENCE
        while self._read(max(0, deadline - time.monotonic())):
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def screen(self, columns=80):
        return render(self.output, columns)


def render(output, columns=80):
    """What a terminal shows in the end: the rows, from the top of everything ever written."""
    rows, row, column = [[]], 0, 0
    for match in re.finditer(rb"\x1b\[([0-9;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]", output):
        piece = match.group()
        if piece == b"\r":
            column = 0
        elif piece == b"\n":
            row += 1
        elif match.group(2) == b"A":
            row -= int(match.group(1) or 1)
            assert row >= 0
        elif match.group(2) == b"J":
            rows[row:] = [rows[row][:column]]
        elif match.group(2):
            assert match.group(2) == b"m", piece
        else:
            if column == columns:
                row, column = row + 1, 0
            while len(rows) <= row:
                rows.append([])
            rows[row] += [b" "] * (column - len(rows[row]))
            rows[row][column:column + 1] = [piece]
            column += 1
        while len(rows) <= row:
            rows.append([])
    return [b"".join(cells).decode(errors="replace").rstrip() for cells in rows]
