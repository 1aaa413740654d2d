"""docs/curl-transcript.md is what the daemon says today."""
import os
import subprocess

from support import pawl_path, source_root


def test_the_transcript_is_fresh():
    root = source_root()
    done = subprocess.run([os.path.join(root, "tools", "curl-transcript"), pawl_path()], capture_output=True, text=True,
                          timeout=300, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr
    with open(os.path.join(root, "docs", "curl-transcript.md"), encoding="utf-8") as committed:
        assert done.stdout == committed.read(), "run tools/curl-transcript > docs/curl-transcript.md"
