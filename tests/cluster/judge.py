"""Compares what tasks wrote down themselves with what the nodes and the tables say. Knows nothing of pawl's code.

A run is {"tasks": {id: {"dependencies", "exit", "lines", "max_attempts", "on_lost"}}, "status": RunStatus or None,
"logs": {id: text}, "others": [RunStatus as other nodes tell it], "canceled": bool}. The ledger is lines of ledger.c.
Every violation is a sentence. Times are nanoseconds of CLOCK_BOOTTIME, which all nodes on one machine share."""
import datetime
from collections import Counter, defaultdict
from dataclasses import dataclass, field

ENDED = {"succeeded", "failed", "canceled"}
LOST_REPEATS = 3        # G4
MINUTE = datetime.timedelta(minutes=1)


@dataclass
class Life:
    """An attempt as its processes saw it."""
    attempt: int
    fence: int
    node: str
    begin_ns: int
    seen_ns: int                # the last sign of life
    end_ns: int = 0             # 0: it wrote no end
    code: int = -1
    overlaps: bool = False      # it found another one alive
    starts: int = 0


@dataclass
class Facts:
    """What was done to the cluster."""
    lease_ns: int
    slack_ns: int = 0                                   # how long this machine itself stood still at the most
    frozen: list = field(default_factory=list)          # (node, from, to): suspended with all that runs on it
    cut: list = field(default_factory=list)             # (node, from, to): could not renew its lease
    crashed: list = field(default_factory=list)         # (node, when): it was gone, and nothing else happened


def read_ledger(text):
    """(run, task) -> [Life] by their beginning"""
    lives = defaultdict(dict)
    for line in text.splitlines():
        what, run, task, attempt, fence, node, _, code, time_ns = line.split()
        time_ns = int(time_ns)
        known = lives[run, task]
        if fence not in known:
            known[fence] = Life(int(attempt), int(fence), node, time_ns, time_ns)
        life = known[fence]
        life.seen_ns = max(life.seen_ns, time_ns)
        life.begin_ns = min(life.begin_ns, time_ns)
        if what in ("start", "overlap"):
            life.starts += 1
            life.overlaps |= what == "overlap"
        if what == "end":
            life.end_ns, life.code = time_ns, int(code)
    return {key: sorted(known.values(), key=lambda life: life.begin_ns) for key, known in lives.items()}


def was_frozen(life, until_ns, facts):
    """Suspended as a whole while it lived: nobody could have ended it."""
    return any(life.node == node and begin <= until_ns and life.begin_ns <= end for node, begin, end in facts.frozen)


def check_lives(where, lives, facts):
    """G3: of one task instance, in the whole cluster, one at a time."""
    for i, life in enumerate(lives):
        if life.starts != 1:
            yield f"{where}: attempt {life.attempt} (fence {life.fence:x}) began {life.starts} times"
        before = [other for other in lives[:i] if other.seen_ns >= life.begin_ns]
        excused = any(was_frozen(other, life.begin_ns, facts) for other in lives[:i])
        for other in before:
            if not was_frozen(other, life.begin_ns, facts):
                yield (f"{where}: attempt {life.attempt} on node {life.node} began while attempt {other.attempt} on "
                       f"node {other.node} was alive, {(other.seen_ns - life.begin_ns) / 1e6:.0f} ms before its last "
                       "sign")
        if life.overlaps and not before and not excused:
            yield f"{where}: attempt {life.attempt} on node {life.node} found another one alive"
    numbers = [life.attempt for life in lives]
    if len(set(numbers)) != len(numbers):
        yield f"{where}: two attempts of one number: {numbers}"
    if numbers != sorted(numbers):
        yield f"{where}: attempts out of order: {numbers}"


def check_task(where, task, shown, log, lives, facts, canceled):
    yield from check_lives(where, lives, facts)
    by_number = {life.attempt: life for life in lives}
    if lives and max(by_number) > shown["attempt"]:
        yield f"{where}: attempt {max(by_number)} ran, the API knows {shown['attempt']}"
    if len(lives) > task["max_attempts"] + LOST_REPEATS:
        yield f"{where}: began {len(lives)} times"
    if task["on_lost"] == "fail" and task["max_attempts"] == 1 and len(lives) > 1:
        yield f"{where}: onLost: fail, yet it began {len(lives)} times"
    if shown["state"] in ("skipped", "pending", "queued") and lives:
        yield f"{where}: {shown['state']}, yet it ran"
    last = by_number.get(shown["attempt"])
    if shown["state"] == "succeeded":
        if not last or not last.end_ns or last.code != 0:
            yield f"{where}: succeeded, but the ledger has no end with 0 of attempt {shown['attempt']}"
        expected = "".join(f"{shown['taskId']} {shown['attempt']} {i}\n" for i in range(task["lines"]))
        if log is not None and log != expected:
            yield f"{where}: its log has {len(log)} bytes instead of {len(expected)}"
    if shown["errorType"] == "exit" and (not last or last.code != shown["exitCode"]):
        yield f"{where}: exit {shown['exitCode']}, but the ledger says {last}"
    if shown["state"] == "failed" and task["exit"] == 0 and not canceled and shown["errorType"] != "lost":
        yield f"{where}: failed ({shown['errorType']}: {shown['error']}), but it exits with 0"
    if shown["startedAt"] and shown["completedAt"] and shown["completedAt"] < shown["startedAt"]:
        yield f"{where}: completed {shown['completedAt']} before it started {shown['startedAt']}"


def check_order(run_id, tasks, lives):
    """G7: nothing starts on the strength of what was not there."""
    for task_id, task in tasks.items():
        begins = [life.begin_ns for life in lives.get((run_id, task_id), [])]
        for dependency in task["dependencies"] if begins else []:
            good = [life.end_ns for life in lives.get((run_id, dependency), []) if life.end_ns and life.code == 0]
            if not good or min(good) > min(begins):
                yield f"run {run_id}: {task_id} began before {dependency} had succeeded"


def same(status):
    """What two nodes have to say in the same words of a run that has ended."""
    return (status["state"], status["completedAt"],
            [(task["taskId"], task["state"], task["attempt"], task["startedAt"], task["completedAt"], task["errorType"])
             for task in status["tasks"]])


def check_run(run_id, run, lives, facts):
    status = run["status"]
    if status is None:
        yield f"run {run_id} was acknowledged and is not there"
        return
    if status["state"] not in ENDED:
        yield f"run {run_id} has not ended: {status['state']} {status.get('counts')}"
        return
    for other in run["others"]:
        if other is None or same(other) != same(status):
            yield f"run {run_id}: two nodes do not agree: {same(status)}, {other and same(other)}"
    shown = {task["taskId"]: task for task in status["tasks"]}
    if set(shown) != set(run["tasks"]):
        yield f"run {run_id}: its tasks are not those of the DAG"
        return
    for task_id, task in run["tasks"].items():
        yield from check_task(f"run {run_id} task {task_id}", task, shown[task_id], run["logs"].get(task_id),
                              lives.get((run_id, task_id), []), facts, run["canceled"])
    yield from check_order(run_id, run["tasks"], lives)
    if status["state"] == "succeeded" and any(task["state"] != "succeeded" for task in status["tasks"]):
        yield f"run {run_id}: succeeded with tasks that did not"
    if status["state"] == "failed" and not any(task["state"] == "failed" for task in status["tasks"]):
        yield f"run {run_id}: failed without a failed task"
    if status["state"] == "canceled" and not run["canceled"]:
        yield f"run {run_id}: canceled by nobody"


def check_cuts(lives, facts):
    """G14: what runs on a node that cannot reach the store is dead when its lease ends."""
    for node, begin, end in facts.cut:
        limit = begin + facts.lease_ns + facts.slack_ns
        for (run, task), several in lives.items() if limit < end else ():
            for life in several:
                if life.node != node or was_frozen(life, end, facts):
                    continue
                if life.begin_ns <= limit < life.seen_ns:
                    yield (f"run {run} task {task}: attempt {life.attempt} lived on node {node} "
                           f"{(min(life.seen_ns, end) - begin - facts.lease_ns) / 1e6:.0f} ms after its lease had "
                           "ended")
                if limit < life.begin_ns <= end:
                    yield f"run {run} task {task}: attempt {life.attempt} began on node {node}, which was cut off"


def check_take_over(runs, lives, facts):
    """G14: what ran on a node that is gone goes on within twice the lease. Gives (violations, how long it took)."""
    violations, waits = [], []
    for node, when in facts.crashed:
        limit = 2 * facts.lease_ns + facts.slack_ns
        for (run, task), several in lives.items():
            interrupted = [life for life in several if life.node == node and life.begin_ns < when and not life.end_ns]
            known = runs.get(run)
            if not interrupted or not known or known["canceled"] or known["tasks"][task]["on_lost"] != "retry":
                continue
            later = [life.begin_ns for life in several if life.begin_ns > when]
            if later:
                waits.append(min(later) - when)
                if min(later) - when > limit:
                    violations.append(f"run {run} task {task}: went on {(min(later) - when) / 1e6:.0f} ms after node "
                                      f"{node} was gone")
    return violations, waits


def check(runs, ledger, facts):
    """All violations. `runs`: every run that was acknowledged, or found in the tables."""
    lives = read_ledger(ledger)
    for run_id, run in runs.items():
        yield from check_run(run_id, run, lives, facts)
    for run_id in {run_id for run_id, _ in lives} - set(runs):
        yield f"run {run_id} ran but is in no table"
    fences = Counter(life.fence for several in lives.values() for life in several)
    yield from (f"fence {fence:x} was given {count} times" for fence, count in fences.items() if count > 1)
    yield from check_cuts(lives, facts)


def minutes(first, last):
    while first <= last:
        yield first
        first += MINUTE


def check_fires(fires, runs):
    """G9: of a schedule that fires each minute. `fires`: all records."""
    covered, fired = Counter(), Counter()
    for fire in fires:
        first, last = (datetime.datetime.fromisoformat(fire[name].replace("Z", "+00:00")) for name in ("from", "to"))
        covered.update(minutes(first, last))
        if fire["outcome"] == "fired":
            fired[fire["runId"]] += 1
            if fire["runId"] not in runs or first != last:
                yield f"fire {fire['id']}: fired without a run"
        elif fire["outcome"] != "skipped":
            yield f"fire {fire['id']}: still {fire['outcome']}"
        elif fire["reason"] != "paused":
            yield f"fire {fire['id']}: skipped ({fire['reason']}), though all of them are made up for"
    yield from (f"schedule: {instant} is covered {count} times" for instant, count in covered.items() if count > 1)
    yield from (f"run {run_id} stands for {count} instants" for run_id, count in fired.items() if count > 1)
    if covered:
        yield from (f"schedule: {instant} is missed" for instant in minutes(min(covered), max(covered))
                    if instant not in covered)


# Sentences about the tables, by SQL that has to find nothing.
TABLES = {
    "an attempt of an ended run is still running":
        "SELECT r.id FROM pawl.runs r JOIN pawl.attempts a USING (run) WHERE a.state = 'running'",
    "a run is both active and ended": "SELECT id FROM pawl.runs JOIN pawl.active_runs USING (id)",
    "two runs have one number":
        "SELECT run FROM (SELECT run FROM pawl.runs UNION ALL SELECT run FROM pawl.active_runs) r GROUP BY run "
        "HAVING count(*) > 1",
    "two attempts have one fence": "SELECT fence FROM pawl.attempts GROUP BY fence HAVING count(*) > 1",
    "attempts of a task are not numbered one by one":
        "SELECT run, task FROM pawl.attempts GROUP BY run, task HAVING count(*) <> max(number)",
    "a key stands for a run that is not there":
        "SELECT run_id FROM pawl.idempotency k WHERE NOT EXISTS (SELECT 1 FROM pawl.runs r WHERE r.id = k.run_id) "
        "AND NOT EXISTS (SELECT 1 FROM pawl.active_runs r WHERE r.id = k.run_id)",
    "a run that failed has no dead letter":
        "SELECT id FROM pawl.runs r WHERE state = 'failed' AND NOT EXISTS (SELECT 1 FROM pawl.letters l "
        "WHERE l.run_id = r.id)",
}
