"""Compares what the tasks themselves wrote with what the API says. Knows nothing of pawl's code.

A run is {"tasks": {id: {"dependencies", "exit", "lines", "max_attempts", "on_lost"}}, "status": RunStatus or None,
"logs": {id: text}}. The ledger is lines of ledger.c. Every violation is a sentence."""
import datetime
from collections import Counter, defaultdict
from dataclasses import dataclass

ENDED = {"succeeded", "failed", "canceled"}
LOST_REPEATS = 3        # G4
MINUTE = datetime.timedelta(minutes=1)


@dataclass
class Note:
    what: str
    attempt: int
    fence: str
    code: int
    time_ns: int


def read_ledger(text):
    """(run, task) -> [Note] in order of writing"""
    notes = defaultdict(list)
    for line in text.splitlines():
        what, run, task, attempt, fence, _, code, time_ns = line.split()
        notes[run, task].append(Note(what, int(attempt), fence, int(code), int(time_ns)))
    return notes


def check_task(run_id, task_id, task, shown, log, notes, workers_killed):
    where = f"run {run_id} task {task_id}"
    starts = [note for note in notes if note.what == "start"]
    ends = {note.attempt: note for note in notes if note.what == "end"}
    if any(note.what == "overlap" for note in notes):
        yield f"{where}: two live attempts"
    attempts = [note.attempt for note in starts]
    if len(set(attempts)) != len(attempts):
        yield f"{where}: attempt started twice: {attempts}"
    if attempts != sorted(attempts):
        yield f"{where}: attempts out of order: {attempts}"
    if attempts and max(attempts) > shown["attempt"]:
        yield f"{where}: attempt {max(attempts)} ran, the API knows {shown['attempt']}"
    if len(starts) > task["max_attempts"] + LOST_REPEATS:
        yield f"{where}: started {len(starts)} times"
    if task["on_lost"] == "fail" and task["max_attempts"] == 1 and len(starts) > 1:
        yield f"{where}: onLost: fail, yet started {len(starts)} times"
    if shown["state"] in ("skipped", "pending", "queued") and starts:
        yield f"{where}: {shown['state']}, yet it ran"
    last = ends.get(shown["attempt"])
    if shown["state"] == "succeeded" and (not last or last.code != 0):
        yield f"{where}: succeeded, but the ledger has no end with 0 of attempt {shown['attempt']}"
    if shown["errorType"] == "exit" and (not last or last.code != shown["exitCode"]):
        yield f"{where}: exit {shown['exitCode']}, but the ledger says {last}"
    if not workers_killed:
        if shown["errorType"] == "lost":
            yield f"{where}: lost, though no worker was killed"
        if shown["state"] == "succeeded" and len(starts) != 1:
            yield f"{where}: succeeded after {len(starts)} starts"
        if shown["state"] == "failed" and task["exit"] != 0 and len(starts) != task["max_attempts"]:
            yield f"{where}: failed after {len(starts)} of {task['max_attempts']} attempts"
        if task["exit"] == 0 and shown["state"] == "failed":
            yield f"{where}: failed ({shown['error']}), but it exits with 0"
    if shown["state"] == "succeeded":
        expected = "".join(f"{task_id} {shown['attempt']} {i}\n" for i in range(task["lines"]))
        if log != expected:
            yield f"{where}: its log has {len(log or '')} bytes instead of {len(expected)}"


def check_order(run_id, tasks, notes):
    for task_id, task in tasks.items():
        starts = [note.time_ns for note in notes[run_id, task_id] if note.what == "start"]
        if not starts:
            continue
        for dependency in task["dependencies"]:
            good = [note.time_ns for note in notes[run_id, dependency] if note.what == "end" and note.code == 0]
            if not good or min(good) > min(starts):
                yield f"run {run_id}: {task_id} started before {dependency} had succeeded"


def check_run(run_id, run, notes, workers_killed):
    status = run["status"]
    if status is None:
        yield f"run {run_id} was acknowledged and is not there"
        return
    if status["state"] not in ENDED:
        yield f"run {run_id} has not ended: {status['state']}"
        return
    shown = {task["taskId"]: task for task in status["tasks"]}
    if set(shown) != set(run["tasks"]):
        yield f"run {run_id}: its tasks are not those of the DAG"
        return
    for task_id, task in run["tasks"].items():
        yield from check_task(run_id, task_id, task, shown[task_id], run["logs"].get(task_id), notes[run_id, task_id],
                              workers_killed)
    yield from check_order(run_id, run["tasks"], notes)
    failed = any(task["state"] == "failed" for task in status["tasks"])
    if status["state"] == "succeeded" and any(task["state"] != "succeeded" for task in status["tasks"]):
        yield f"run {run_id}: succeeded with tasks that did not"
    if status["state"] == "failed" and not failed:
        yield f"run {run_id}: failed without a failed task"


def check(runs, ledger, workers_killed, ruled_out=frozenset()):
    """All violations. `runs`: id -> run as above; every run that was acknowledged. `ruled_out`: runs that were canceled,
    of which only that they exist is known."""
    notes = read_ledger(ledger)
    for run_id, run in runs.items():
        yield from check_run(run_id, run, notes, workers_killed)
    for run_id in {run_id for run_id, _ in notes} - set(runs) - set(ruled_out):
        yield f"run {run_id} ran but was never acknowledged or found by its key"


def minutes(first, last):
    while first <= last:
        yield first
        first += MINUTE


def check_fires(fires, runs, migrated, backfill):
    """G9: of a schedule that fires each minute. `fires`: all records; `backfill`: first and last instant asked for. A
    store that came from a version without schedules has missed nothing by definition, so gaps say nothing then."""
    covered, backfilled, fired = Counter(), Counter(), Counter()
    for fire in fires:
        first, last = (datetime.datetime.fromisoformat(fire[name].replace("Z", "+00:00")) for name in ("from", "to"))
        kind = backfilled if fire["triggeredBy"] == "backfill" else covered
        kind.update(minutes(first, last))
        if fire["outcome"] == "fired":
            fired[fire["runId"]] += 1
            if fire["runId"] not in runs or first != last:
                yield f"fire {fire['id']}: fired without a run"
        elif fire["outcome"] != "skipped":
            yield f"fire {fire['id']}: still {fire['outcome']}"
    for instants, name in ((covered, "schedule"), (backfilled, "backfill")):
        yield from (f"{name}: {instant} is covered {count} times" for instant, count in instants.items() if count > 1)
    yield from (f"run {run_id} stands for {count} instants" for run_id, count in fired.items() if count > 1)
    if not migrated and covered:
        yield from (f"schedule: {instant} is missed" for instant in minutes(min(covered), max(covered))
                    if instant not in covered)
    if not migrated and backfill:
        yield from (f"backfill: {instant} is missed" for instant in minutes(*backfill) if instant not in backfilled)
