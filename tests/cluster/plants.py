#!/usr/bin/env python3
"""make cluster-plants: takes one of the things away that keep nodes apart, and looks whether the campaign sees it.

    tests/cluster/plants.py BUILD [--older PROGRAM] [NAME...]

With --older (make cluster-upgrade-plants) the plants are new programs that an older one cannot live with.

A plant is one replacement or several, each of which must fit exactly once. The changed files are compiled as BUILD
compiles the true ones and linked in front of the true library. What the campaign does not report is a hole in its
checks: exit status 1. Needs the target `pawl` of BUILD."""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "sim"))
from plants import compile_command  # noqa: E402

SCENARIOS = 12

# name, what goes wrong meanwhile, then (file below src/, what stands there, what is planted instead)
PLANTS = [
    ("no-fence", "pause,freeze", ("store/postgres/pg_statement.c", "AND NOT dead FOR SHARE", "FOR SHARE"),
     ("store/postgres/pg_cluster.c", "draining = $9 WHERE epoch = $1 AND NOT dead", "draining = $9 WHERE epoch = $1")),
    ("no-kill-at-the-end-of-the-lease", "pause,partition,silence,kill",
     ("worker/worker.c", "if (now_ms >= worker->lease_ms) {", "if (0) {")),
    ("lease-counted-double", "pause,partition,silence",
     ("server/cluster.c", "before_ms + lease_ms - lease_ms / 5", "before_ms + 2 * lease_ms")),
    ("nobody-declared-dead", "crash",
     ("store/postgres/pg_cluster.c", "AND lease_until < clock_timestamp() FOR UPDATE", "AND false FOR UPDATE")),
    ("the-dead-lead", "crash,pause",
     ("store/postgres/pg_cluster.c", "n.epoch = l.epoch AND NOT n.dead))", "n.epoch = l.epoch))")),
    ("what-was-given-is-forgotten", "crash,pause",
     ("store/postgres/pg_cluster.c", "if (!code && count) {\n        store->runs_came",
      "if (0) {\n        store->runs_came")),
    ("an-unknown-outcome-is-none", "commit:after",
     ("store/postgres/pg_commit.c", "store_pg_rows(store, found) == 1;", "false;")),
    ("an-unknown-outcome-is-good", "commit:before",
     ("store/postgres/pg_commit.c", "store_pg_rows(store, found) == 1;", "true;")),
]

STEP = '"ALTER TABLE dags ADD COLUMN resumed_at timestamptz;"},'
UPGRADE_PLANTS = [
    ("a-column-that-older-nodes-do-not-fill", "drain",
     ("store/postgres/pg_migrate.c", STEP, STEP + '\n{5, "ALTER TABLE attempts ADD COLUMN place text NOT NULL;"},'),
     ("store/postgres/pg_statement.c", "INSERT INTO attempts (run,", "INSERT INTO attempts (place, run,"),
     ("store/postgres/pg_statement.c", "claimed_ms) SELECT n.run,", "claimed_ms) SELECT 'here', n.run,")),
    ("a-lease-that-older-nodes-do-not-see", "drain,kill",
     ("store/postgres/pg_migrate.c", STEP, STEP + '\n{5, "ALTER TABLE nodes ADD COLUMN lease_ends timestamptz;"},'),
     ("store/postgres/pg_cluster.c", "SET lease_until = clock_timestamp()", "SET lease_ends = clock_timestamp()"),
     ("store/postgres/pg_cluster.c", "AND lease_until < clock", "AND coalesce(lease_ends, lease_until) < clock"),
     ("store/postgres/pg_cluster.c", "AND n.lease_until >= clock", "AND coalesce(lease_ends, lease_until) >= clock")),
]


def link_command(build):
    out = subprocess.run(["ninja", "-C", build, "-t", "commands", "pawl"], check=True, capture_output=True, text=True)
    command = out.stdout.strip().splitlines()[-1]
    if " -o pawl " not in command:
        sys.exit("plants: cannot see how the program is linked")
    return command


def betrayed(build, folder, plant, older):
    """The first sentence of the campaign, or None."""
    name, only, *replacements = plant
    objects, program = "", folder / name
    texts = {path: (ROOT / "src" / path).read_text() for path, _, _ in replacements}
    for path, old, new in replacements:
        text = texts[path]
        if text.count(old) != 1:
            sys.exit(f"plants: {name}: the text to replace stands {text.count(old)} times in src/{path}")
        texts[path] = text.replace(old, new)
    for path, text in texts.items():
        source = ROOT / "src" / path
        planted = folder / f"{name}.{source.name}"
        planted.write_text(text)
        command = compile_command(build, str(source)).replace(str(source), str(planted))
        command = re.sub(r" -o \S+", f" -o {planted}.o -w -Wno-error", command)
        command = re.sub(r" -M[FT] \S+| -MD", "", command)
        subprocess.run(command, shell=True, check=True, cwd=build)
        objects += f"{planted}.o "
    subprocess.run(link_command(build).replace(" -o pawl ", f" -o {program} {objects}"), shell=True, check=True,
                   cwd=build)
    for seed in range(1, SCENARIOS + 1):
        run = subprocess.run(
            [sys.executable, HERE / "campaign.py", "--scenario", "1", "--seed", str(seed), "--only", only,
             *older],
            env={**os.environ, "PAWL": str(program)}, capture_output=True, text=True, check=False)
        if run.returncode:
            found = [line.strip() for line in run.stdout.splitlines() if re.match(r"  [a-z]", line)]
            return f"seed {seed}: {found[0] if found else run.stdout + run.stderr}"
    return None


def main():
    build = os.path.abspath(sys.argv[1])
    older = sys.argv[2:4] if sys.argv[2:3] == ["--older"] else []
    wanted = sys.argv[2 + len(older):]
    plants = [plant for plant in (UPGRADE_PLANTS if older else PLANTS) if not wanted or plant[0] in wanted]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for plant in plants:
            said = betrayed(build, Path(folder), plant, older)
            missed += said is None
            print(f"{plant[0]:32} {said or 'NOT SEEN'}", flush=True)
    print(f"{len(plants) - missed} of {len(plants)} were seen")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
