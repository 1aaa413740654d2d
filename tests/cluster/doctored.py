"""campaign.py --self-test: a ledger and answers in order, then each with one thing made wrong, which the judge has to
see."""
import copy
import json

import judge

MS = 1000000
TASKS = {"a": {"dependencies": [], "exit": 0, "lines": 1, "max_attempts": 1, "on_lost": "retry"},
         "b": {"dependencies": ["a"], "exit": 0, "lines": 0, "max_attempts": 1, "on_lost": "fail"}}


def line(what, task, attempt, fence, node, at_ms, code=0):
    return f"{what} R {task} {attempt} {fence} {node} 7 {code} {at_ms * MS}"


def shown(task, attempt):
    return {"taskId": task, "state": "succeeded", "attempt": attempt, "errorType": None, "exitCode": 0, "error": None,
            "startedAt": "2026-01-01T00:00:01Z", "completedAt": "2026-01-01T00:00:02Z"}


class World:
    """Node 0 is cut off at 150, its attempt of a dies, node 1 repeats it and goes on."""

    def __init__(self):
        status = {"state": "succeeded", "completedAt": "2026-01-01T00:00:03Z", "tasks": [shown("a", 2), shown("b", 1)]}
        self.ledger = [line("start", "a", 1, 0x10000000001, 0, 100), line("beat", "a", 1, 0x10000000001, 0, 900),
                       line("start", "a", 2, 0x20000000001, 1, 1300), line("end", "a", 2, 0x20000000001, 1, 1400),
                       line("start", "b", 1, 0x20000000002, 1, 1500), line("end", "b", 1, 0x20000000002, 1, 1600)]
        self.runs = {"R": {"tasks": TASKS, "status": status, "logs": {"a": "a 2 0\n"},
                           "others": [copy.deepcopy(status)], "canceled": False}}
        self.facts = judge.Facts(1000 * MS, cut=[("0", 150 * MS, 5000 * MS)], crashed=[("0", 150 * MS)])
        self.fires = [self.fire(minute) for minute in range(3)]
        for fire in self.fires:
            self.runs[fire["runId"]] = {"tasks": {}, "status": {"state": "succeeded", "completedAt": None, "tasks": []},
                                        "logs": {}, "others": [], "canceled": False}

    @staticmethod
    def fire(minute):
        at = f"2026-01-01T00:0{minute}:00Z"
        return {"id": f"F{minute}", "from": at, "to": at, "outcome": "fired", "runId": f"S{minute}", "reason": None}

    def find(self):
        ledger = "\n".join(self.ledger)
        found = [*judge.check(self.runs, ledger, self.facts), *judge.check_fires(self.fires, self.runs)]
        return found + judge.check_take_over(self.runs, judge.read_ledger(ledger), self.facts)[0]

    @property
    def status(self):
        return self.runs["R"]["status"]


def frozen_excuses(world):
    world.ledger[1] = line("beat", "a", 1, 0x10000000001, 0, 1350)
    world.facts.cut = []
    world.facts.frozen = [("0", 150 * MS, 2000 * MS)]


# (name, words of the sentence that has to come): what is done
DOCTORED = {
    ("an acknowledged run is gone", "is not there"): lambda w: w.runs["R"].update(status=None),
    ("a run has not ended", "has not ended"): lambda w: w.status.update(state="running"),
    ("two live attempts", "was alive"): lambda w: w.ledger.__setitem__(1, line("beat", "a", 1, 0x10000000001, 0, 1350)),
    ("two live attempts, by the lock", "found another one alive"): lambda w: w.ledger.__setitem__(
        2, line("overlap", "a", 2, 0x20000000001, 1, 1300)),
    ("an attempt began twice", "began 2 times"): lambda w: w.ledger.append(
        line("start", "a", 2, 0x20000000001, 1, 1390)),
    ("a number given twice", "of one number"): lambda w: w.ledger.__setitem__(
        0, line("start", "a", 2, 0x10000000001, 0, 100)),
    ("a fence given twice", "fence 20000000001 was given 2 times"): lambda w: w.ledger.__setitem__(
        slice(4, 6), [line("start", "b", 1, 0x20000000001, 1, 1500), line("end", "b", 1, 0x20000000001, 1, 1600)]),
    ("an attempt the API does not know", "the API knows 1"): lambda w: w.status["tasks"][0].update(attempt=1),
    ("order", "before a had succeeded"): lambda w: w.ledger.__setitem__(
        4, line("start", "b", 1, 0x20000000002, 1, 1350)),
    ("invented success", "no end with 0"): lambda w: w.ledger.pop(3),
    ("another exit status", "exit 4"): lambda w: w.status["tasks"][1].update(
        state="failed", errorType="exit", exitCode=4),
    ("onLost: fail, repeated", "onLost: fail"): lambda w: w.ledger.append(
        line("start", "b", 2, 0x20000000003, 1, 1700)),
    ("too many attempts", "began 6 times"): lambda w: w.ledger.extend(
        line("start", "a", 3 + i, 0x20000000010 + i, 1, 1410 + i) for i in range(4)),
    ("a log cut short", "its log has"): lambda w: w.runs["R"]["logs"].update(a=""),
    ("nodes do not agree", "do not agree"): lambda w: w.runs["R"]["others"][0]["tasks"][0].update(state="failed"),
    ("a node does not know the run", "do not agree"): lambda w: w.runs["R"]["others"].append(None),
    ("canceled by nobody", "canceled by nobody"): lambda w: w.status.update(state="canceled"),
    ("succeeded without", "succeeded with tasks"): lambda w: w.status["tasks"][1].update(state="skipped"),
    ("failed without", "failed without a failed"): lambda w: w.status.update(state="failed"),
    ("time goes back", "before it started"): lambda w: w.status["tasks"][0].update(completedAt="2026-01-01T00:00:00Z"),
    ("a run nobody knows", "in no table"): lambda w: w.ledger.append(w.ledger[0].replace(" R ", " Q ")),
    ("outlived the lease", "after its lease had ended"): lambda w: w.ledger.__setitem__(
        1, line("beat", "a", 1, 0x10000000001, 0, 1200)),
    ("began while cut off", "which was cut off"): lambda w: w.ledger.append(
        line("start", "b", 1, 0x10000000009, 0, 1800)),
    ("taken over too late", "went on 2150 ms"): lambda w: w.ledger.__setitem__(
        slice(2, 6), [line("start", "a", 2, 0x20000000001, 1, 2300), line("end", "a", 2, 0x20000000001, 1, 2400),
                      line("start", "b", 1, 0x20000000002, 1, 2500), line("end", "b", 1, 0x20000000002, 1, 2600)]),
    ("an instant missed", "is missed"): lambda w: w.fires.pop(1),
    ("an instant twice", "is covered 2 times"): lambda w: w.fires.append(dict(w.fires[1], id="F9", runId="S9")),
    ("an instant without a run", "fired without a run"): lambda w: w.fires[1].update(runId="gone"),
    ("one run for two instants", "stands for 2 instants"): lambda w: w.fires[1].update(runId="S0"),
    ("an instant still queued", "still queued"): lambda w: w.fires[1].update(outcome="queued"),
    ("an instant not made up for", "though all of them"): lambda w: w.fires[1].update(
        outcome="skipped", reason="missed", runId=None),
}


def main():
    blind = 0
    for name, doctor in {"in order": lambda w: None, "frozen as a whole": frozen_excuses}.items():
        world = World()
        doctor(world)
        found = world.find()
        blind += len(found)
        print(f"{name}: {found or 'nothing, as it should be'}")
    for (name, words), doctor in DOCTORED.items():
        world = World()
        before = json.dumps([world.ledger, world.runs, world.fires])
        doctor(world)
        assert json.dumps([world.ledger, world.runs, world.fires]) != before, name
        if words != "do not agree":
            world.runs["R"]["others"] = [world.status]
        found = [sentence for sentence in world.find() if words in sentence]
        blind += not found
        print(f"{name}: {found[0] if found else 'NOT SEEN'}")
    print(f"{len(DOCTORED)} doctored, {blind} wrong")
    return 1 if blind else 0
