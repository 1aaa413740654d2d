"""SQL of the campaign beside that of the nodes."""
import contextlib
import os
import select
import subprocess
import time


class Session:
    """SQL by one psql that stays; another one when it was cut."""

    def __init__(self, postgres, url):
        self.postgres, self.url, self.psql = postgres, url, None

    def ask(self, text, seconds=20):
        if self.psql is None:
            self.psql = subprocess.Popen(
                [os.path.join(self.postgres.bin, "psql"), "-XAtq", self.url], user=self.postgres.user, text=True,
                extra_groups=[] if self.postgres.user else None, cwd=self.postgres.folder, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        until, answer = time.monotonic() + seconds, b""
        try:
            self.psql.stdin.write(f"{text};\n\\echo that was it\n")
            self.psql.stdin.flush()
            while not answer.endswith(b"that was it\n"):
                ready, _, _ = select.select([self.psql.stdout], [], [], max(0, until - time.monotonic()))
                piece = os.read(self.psql.stdout.fileno(), 65536) if ready else b""
                if not piece:
                    raise NoAnswer(text)
                answer += piece
        except (BrokenPipeError, NoAnswer):
            self.close()
            raise NoAnswer(text) from None
        return answer.decode().removesuffix("that was it\n").strip()

    def close(self):
        if self.psql:
            self.psql.kill()
            self.psql.wait()
            self.psql.stdout.close()
            with contextlib.suppress(BrokenPipeError):
                self.psql.stdin.close()
        self.psql = None


class NoAnswer(Exception):
    """PostgreSQL does not answer, as may be."""
