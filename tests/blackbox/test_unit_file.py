"""The unit of the package: what systemd itself says of its fences."""
import os
import re
import shutil
import subprocess

import pytest
from support import source_root

UNIT = os.path.join(source_root(), "packaging/systemd/pawl.service")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_how_exposed_the_service_is():
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT], capture_output=True,
                          text=True, check=False, stdin=subprocess.DEVNULL)
    figure = re.search(r"Overall exposure level for pawl\.service: ([0-9.]+)", done.stdout)
    if not figure:
        pytest.skip(f"systemd-analyze cannot judge here: {done.stderr}")
    assert float(figure[1]) <= 2.0
    with open(os.path.join(source_root(), "docs", "operations.md"), encoding="utf-8") as page:
        assert f"gives it {figure[1]};" in page.read()


def test_what_running_tasks_need_of_the_unit():
    with open(UNIT, encoding="utf-8") as unit:
        lines = unit.read().splitlines()
    for line in ("KillMode=process", "Delegate=yes", "OOMPolicy=continue"):
        assert line in lines
    stop = next(line for line in lines if line.startswith("TimeoutStopSec="))
    assert int(re.sub(r"\D", "", stop)) > 60  # the drain
