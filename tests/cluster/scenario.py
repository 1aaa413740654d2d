"""One scenario of the campaign: planned from one random number, then carried out."""
import contextlib
import json
import os
import select
import signal
import subprocess
import threading
import time
from urllib.parse import quote

import judge
from exchange import Exchange
from nodes import START_S, Gone, Node, boot_ns, idle
from session import NoAnswer, Session
from support import children_of, eventually
from wire import LABELS, QUIET, Arm

END_S = 40              # within which everything has to end once all is repaired
DRAIN_S = 30            # within which a node ends that was told to, whatever else happens
AWAY = 7                # exit status of a node that finds no database as it starts
SLOTS = 4               # few, so that nodes run attempts for each other
SLOTS_ALONE = 16        # where it is measured how soon work goes on: it shall not have to wait for one


def task(ms, dependencies=(), code=0, lines=3, max_attempts=1, on_lost="retry"):
    return {"ms": ms, "dependencies": list(dependencies), "exit": code, "lines": lines, "max_attempts": max_attempts,
            "on_lost": on_lost}


DAGS = {
    "chain": {f"c{i}": task(60, [f"c{i - 1}"] if i else []) for i in range(5)},
    "fan": {"first": task(20), **{f"f{i}": task(60 + 40 * i, ["first"], lines=30) for i in range(4)},
            "last": task(5, [f"f{i}" for i in range(4)])},
    "retries": {"bad": task(20, code=3, max_attempts=3), "after": task(5, ["bad"]), "beside": task(150)},
    "careful": {f"p{i}": task(120, [f"p{i - 1}"] if i else [], on_lost="fail") for i in range(3)},
    "slow": {"a": task(700, lines=200), "b": task(0), "c": task(5, ["a", "b"])},
    "sole": {"s": task(0, on_lost="fail"), "after": task(5, ["s"])},
    "spread": {**{f"s{i}": task(150) for i in range(9)}, "all": task(5, [f"s{i}" for i in range(9)])},
    "tick": {"t": task(20), "u": task(5, ["t"])},
}
SPREAD = "spread"       # placement: any; more at a time than a node has slots
LONG = 1.6              # leases, of tasks that have 0 above: they would outlive a lease that has ended
CROWD = 12              # runs that one node is asked for at once
SCHEDULED = "tick"      # fires every minute of the nodes' clock


def yaml_of(name, tasks, program, ledger_dir, long_ms):
    lines = [f"name: {name}"]
    if name == SCHEDULED:
        lines.append('schedule: {cron: "* * * * *", overlap: allow, catchup: all}')
    if name == SPREAD:
        lines.append("placement: any")
    lines.append("tasks:")
    for task_id, t in tasks.items():
        command = json.dumps([program, ledger_dir, str(t["ms"] or long_ms), str(t["exit"]), str(t["lines"])])
        retry = f", retry: {{maxAttempts: {t['max_attempts']}, initialDelay: 20ms}}" if t["max_attempts"] > 1 else ""
        lines.append(f"  - {{id: {task_id}, type: shell, onLost: {t['on_lost']}, command: {command}, "
                     f"dependencies: {json.dumps(t['dependencies'])}{retry}}}")
    return "\n".join(lines) + "\n"


def measure_load():
    """How many times longer leases and limits are than on an idle machine, so that nodes are declared dead for what is
    done to them and not for want of a processor."""
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return 1 if load < 3 else 2 if load < 10 else 3


class Stalls(threading.Thread):
    """How long this machine, as loaded as it is, leaves a thread waiting at the most."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most_s, self.over = 0.0, threading.Event()

    def run(self):
        while True:
            began = time.monotonic()
            if self.over.wait(0.01):
                return
            self.most_s = max(self.most_s, time.monotonic() - began - 0.01)


class Scenario:
    def __init__(self, lane, path, choose):
        self.lane, self.path, self.choose = lane, path, choose
        self.postgres, self.wire = lane.postgres, lane.wire
        self.load = measure_load()
        self.lease_s = choose.choice([1.0, 1.0, 1.5, 2.0]) * self.load
        self.end_s, self.start_s, self.drain_s = END_S * self.load, START_S * self.load, DRAIN_S * self.load
        self.facts = judge.Facts(int(self.lease_s * 1e9))
        self.began = time.monotonic()
        self.runs = {}              # id -> DAG name
        self.keys = {}              # Idempotency-Key -> DAG name: asked for, no answer yet
        self.answers = {}           # Idempotency-Key -> run id
        self.canceled = set()       # runs somebody asked to cancel
        self.dags = {}              # name -> id
        self.nodes = []
        self.faults, self.waits = {}, []
        self.violations, self.story = [], []
        self.repairs = []           # (when, what): due at some time, or at the end
        self.attempts = 0
        self.only = lane.options.only   # names of faults, LABEL:after, LABEL:before
        # one crash and nothing else: how long it takes until its work goes on is measured
        self.alone = choose.random() < 0.15 and not self.only
        self.exchange = Exchange(self, choose.choice(lane.options.older)) if lane.options.older else None
        self.lock = threading.Lock()
        self.stalls = Stalls()
        self.session = Session(None, None)
        self.others = []            # processes of transactions that are none of pawl's
        self.slowest_ms = 0         # how far the clock behind all others is off
        self.crowded = None         # a node that is to be asked for more than it has slots
        self.silent = {}            # node number -> since when it cannot renew
        self.down = False           # PostgreSQL
        (path / "ledger").mkdir()

    # ---- the world ----

    def say(self, text):
        with self.lock:
            self.story.append(f"{time.monotonic() - self.began:6.2f} {text}")

    def count(self, name):
        with self.lock:
            self.faults[name] = self.faults.get(name, 0) + 1

    def sql(self, text):
        for _ in range(3):      # a session that was cut is noticed when it is used
            with contextlib.suppress(NoAnswer):
                return self.session.ask(text)
        raise NoAnswer(text)

    def make_nodes(self):
        self.url = self.postgres.database()
        self.session = Session(self.postgres, self.url)
        name = self.url.split("/")[3].split("?")[0]
        socket_path = os.path.join(self.postgres.folder, ".s.PGSQL.5432")
        self.speed, skew = self.choose.choice([1, 1, 30]), self.choose.random() < 0.5
        wall_ms, boot_ms = time.time_ns() // 1000000, boot_ns() // 1000000
        self.clock_began = (boot_ms, wall_ms)
        for number in range(self.choose.choice([2, 2, 3, 3, 4])):
            place = self.lane.places[number]
            link = self.wire.link(place.gateway, socket_path, number)
            store = f"postgresql://pawl@{place.gateway}:{link.port}/{name}?sslmode=disable&gssencmode=disable"
            options = ["--store", store, "--lease", f"{int(self.lease_s * 1000)}ms", "--workers", "1", "--slots",
                       str(SLOTS_ALONE if self.alone else SLOTS), "--drain", "3s", "--http-threads", "1"]
            offset_ms = self.choose.randint(-300000, 300000) if skew else 0
            self.slowest_ms = min(self.slowest_ms, offset_ms)
            clock = {"LD_PRELOAD": str(self.lane.tools / "clock.so"),
                     "PAWL_CLOCK": f"{self.speed}:{boot_ms}:{wall_ms + offset_ms}"} if skew or self.speed != 1 else {}
            pawl = self.exchange.first() if self.exchange else self.lane.pawl
            self.nodes.append(Node(number, self.path, place, link, pawl, options, clock))
        self.story.append(f"{len(self.nodes)} nodes, lease {self.lease_s} s, clocks {self.speed} times as fast"
                          f"{' and apart' if skew else ''}")
        if self.exchange:
            self.story[0] += (f", begin {', '.join(self.exchange.name(node) for node in self.nodes)}; older is "
                              f"{self.exchange.older}")

    def start_nodes(self):
        """All at once; what has a point in its start may have to be started again."""
        if not self.alone and not self.only and self.choose.random() < 0.25:
            self.arm(self.choose.choice(["migrate", "join"]), self.choose.randint(1, 2), self.choose.random() < 0.5,
                     self.choose.choice(["kill", "cut", "partition", "pg-crash"]), self.length())
        for node in self.nodes:
            node.spawn()
        until = time.monotonic() + self.start_s
        while not all(node.is_up() and node.port for node in self.nodes):
            self.repair_due()
            self.watch()
            if time.monotonic() > until:
                raise RuntimeError(f"nodes do not start: {[node.number for node in self.nodes if not node.port]}")
            idle(0.02)

    def up(self):
        return [node for node in self.nodes if node.is_up() and node.port]

    # ---- runs ----

    def make_dags(self):
        program, ledger = str(self.lane.tools / "ledger"), str(self.path / "ledger")
        long_ms = int(self.lease_s * LONG * 1000)
        until = time.monotonic() + self.start_s
        for name, tasks in DAGS.items():
            while name not in self.dags:
                if time.monotonic() > until:
                    raise RuntimeError(f"DAG {name} cannot be made")
                self.repair_due()
                self.watch()
                with contextlib.suppress(Gone):
                    node = self.choose.choice(self.nodes)
                    status, body = node.call("POST", "/api/v1/dags",
                                             {"name": name, "yaml": yaml_of(name, tasks, program, ledger, long_ms)})
                    if status == 409:   # an answer that was lost
                        self.dags[name] = node.get(f"/api/v1/dags?name={name}")[0]["id"]
                    elif status == 201:
                        self.dags[name] = json.loads(body)["id"]
                    elif status != 503:
                        raise RuntimeError(f"POST dags {name}: {status} {body!r}")

    def ask(self, node, key, name):
        """One trigger with its key; asked again, anywhere, it has to lead to the same run."""
        status, body = node.call("POST", f"/api/v1/dags/{self.dags[name]}/runs", {}, {"Idempotency-Key": key})
        if status != 202:
            if status != 503:
                self.violations.append(f"trigger {name} at node {node.number}: {status} {body!r}")
            return False
        run_id = json.loads(body)["runId"]
        if self.answers.setdefault(key, run_id) != run_id:
            self.violations.append(f"key {key} gave run {self.answers[key]}, then {run_id} at node {node.number}")
        self.runs[run_id] = name
        self.keys.pop(key, None)
        return True

    def traffic(self, choose, until):
        """A client of all nodes, in a thread of its own. Everywhere something runs for long."""
        for node in self.nodes:
            key = f"key-{choose.getrandbits(64):x}"
            self.keys[key] = choose.choice(["slow", "slow", "sole", SPREAD])
            with contextlib.suppress(Gone):
                self.ask(node, key, self.keys[key])
        while time.monotonic() < until:
            nodes = self.up()
            with contextlib.suppress(Gone, IndexError):
                node, dice = choose.choice(nodes), choose.random()
                if self.crowded:
                    node, self.crowded = self.crowded, None
                    for name in ["slow"] * SLOTS + ["chain"] * (CROWD - SLOTS):
                        key = f"key-{choose.getrandbits(64):x}"
                        self.keys[key] = name
                        self.ask(node, key, name)
                elif dice < 0.2 and self.answers:
                    key = choose.choice(sorted(self.answers))
                    self.ask(node, key, self.runs[self.answers[key]])
                elif dice < 0.35 and self.keys:
                    key = choose.choice(sorted(self.keys))
                    self.ask(node, key, self.keys[key])
                elif dice < 0.42 and self.runs and not self.alone:
                    run_id = choose.choice(sorted(self.runs))
                    self.canceled.add(run_id)
                    status, body = node.call("POST", f"/api/v1/runs/{run_id}/cancel")
                    if status not in (202, 409, 503):
                        self.violations.append(f"cancel at node {node.number}: {status} {body!r}")
                elif len(self.runs) < 16:
                    key = f"key-{choose.getrandbits(64):x}"
                    self.keys[key] = choose.choice(sorted(set(DAGS) - {SCHEDULED}))
                    self.ask(node, key, self.keys[key])
            idle(choose.uniform(0.02, 0.25))

    # ---- what goes wrong ----

    def leader(self):
        """The node that leads, as the tables say; else any."""
        with contextlib.suppress(NoAnswer):
            found = "" if self.down else self.sql("SELECT n.node FROM pawl.leases l JOIN pawl.nodes n USING (epoch)")
            for node in self.nodes:
                if found and node.id() == found and node.is_up():
                    return node
        return None

    def victim(self, whom):
        nodes = [node for node in self.nodes if node.is_up()]
        found = self.leader() if whom == "leader" else None
        return found or (nodes[whom % len(nodes)] if isinstance(whom, int) and nodes else nodes[0] if nodes else None)

    def now_silent(self, node):
        self.silent.setdefault(node.number, boot_ns())

    def heard_again(self, node, before_ns=None):
        since = self.silent.pop(node.number, None)
        if since is not None:
            self.facts.cut.append((str(node.number), since, before_ns or boot_ns()))

    def later(self, seconds, act):
        self.repairs.append((time.monotonic() + seconds, act))

    def restart(self, node):
        if node.is_up():
            return
        node.reap()
        self.heard_again(node)
        self.say(f"node {node.number} starts again")
        node.spawn()

    def do_kill(self, node, seconds):
        node.kill()
        self.now_silent(node)
        self.later(seconds, lambda: self.restart(node))

    def do_crash(self, node, seconds):
        when = boot_ns()
        node.crash()
        if self.alone:
            self.facts.crashed.append((str(node.number), when))
        self.later(seconds, lambda: self.restart(node))

    def do_pause(self, node, seconds):
        node.signal(signal.SIGSTOP)
        self.now_silent(node)

        def go_on():
            self.heard_again(node)
            node.signal(signal.SIGCONT)
        self.later(seconds, go_on)

    def do_freeze(self, node, seconds):
        begin = boot_ns()
        node.freeze()

        def go_on():
            node.thaw()
            self.facts.frozen.append((str(node.number), begin, boot_ns() + int(2e8)))
        self.later(seconds, go_on)

    def do_partition(self, node, seconds):
        node.place.cut(node.link)
        self.now_silent(node)

        def heal():
            self.heard_again(node)
            node.place.heal(node.link)
        self.later(seconds, heal)

    def do_silence(self, node, seconds):
        """Connections stay and say nothing."""
        node.link.silence()
        self.now_silent(node)

        def speak():
            self.heard_again(node)
            node.link.speak()
        self.later(seconds, speak)

    def do_slow(self, node, seconds):
        node.link.slow(0.03 + 0.2 * (node.number % 2))
        self.later(seconds, lambda: node.link.slow(0))

    def do_cut(self, node, _):
        node.link.cut()

    def do_drain(self, node, seconds):
        node.expected = (node.expected or set()) | ({0} if node.port else {0, AWAY, -signal.SIGTERM})
        node.signal(signal.SIGTERM)

        until, process = time.monotonic() + self.drain_s, node.process

        def again():
            if node.process is not process:
                return
            if node.is_up() and time.monotonic() < until:
                self.later(0.05, again)
                return
            if node.is_up():
                self.violations.append(f"node {node.number} does not drain")
                node.crash()
            elif node.process.returncode not in (node.expected or ()):
                self.violations.append(f"node {node.number} drained and ended with {node.process.returncode}")
            self.restart(node)
        self.later(min(seconds, 1.0), again)

    def do_crowd(self, node, _):
        """By the client: runs that have not begun where they were asked for, and free slots elsewhere."""
        self.crowded = node

    def do_roll(self, node, seconds):
        """All of them, one after the other."""
        for i, one in enumerate(node for node in self.nodes if node.is_up()):
            self.later(0.6 * i, lambda one=one: one.is_up() and self.do_drain(one, 0.5))

    def pg_stop(self, how):
        self.down = True
        self.postgres.stop(how)
        for node in self.nodes:
            self.now_silent(node)

    def pg_start(self):
        for node in self.nodes:
            if node.is_up():
                self.heard_again(node)
        self.postgres.start()
        self.down = False

    def do_pg_crash(self, _, seconds):
        self.pg_stop(signal.SIGQUIT)
        self.later(seconds, self.pg_start)

    def do_pg_restart(self, _, seconds):
        self.pg_stop(signal.SIGINT)
        self.later(min(seconds, 0.3), self.pg_start)

    def do_pg_freeze(self, _, seconds):
        pids = [self.postgres.process.pid, *children_of(self.postgres.process.pid)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        self.down = True
        for node in self.nodes:
            self.now_silent(node)

        def thaw():
            for node in self.nodes:
                if node.is_up():
                    self.heard_again(node)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            self.down = False
        self.later(seconds, thaw)

    def do_pg_terminate(self, _, __):
        self.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'client backend' "
                 "AND pid <> pg_backend_pid()")

    def hold(self, statement, seconds):
        """Somebody else's transaction, open for so long."""
        process = subprocess.Popen(
            [os.path.join(self.postgres.bin, "psql"), "-XAtqc", f"BEGIN; {statement}; SELECT pg_sleep({seconds:.2f}); "
             "COMMIT", self.url], user=self.postgres.user, extra_groups=[] if self.postgres.user else None,
            cwd=self.postgres.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.others.append(process)

    def do_pg_lock(self, _, seconds):
        tables = ["attempts", "active_runs", "nodes", "dags", "commits"]
        self.hold(f"LOCK TABLE pawl.{tables[int(seconds * 1000) % len(tables)]} IN EXCLUSIVE MODE", min(seconds, 3))

    def do_pg_snapshot(self, _, seconds):
        self.hold("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pawl.runs", seconds)

    FAULTS = {"kill": do_kill, "crash": do_crash, "pause": do_pause, "freeze": do_freeze, "partition": do_partition,
              "silence": do_silence, "slow": do_slow, "cut": do_cut, "drain": do_drain, "roll": do_roll, "crowd": do_crowd,
              "pg-crash": do_pg_crash, "pg-restart": do_pg_restart, "pg-freeze": do_pg_freeze,
              "pg-terminate": do_pg_terminate, "pg-lock": do_pg_lock, "pg-snapshot": do_pg_snapshot}
    CAUSES = {"give": "crowd", "leave": "drain", "hand-over-lead": "drain"}     # of points that nothing else leads to
    AT_POINTS = ["kill", "crash", "pause", "partition", "silence", "cut", "cut", "pg-crash", "pg-terminate"]

    def length(self):
        """Of an outage: within the lease, about as long, or beyond it."""
        return self.choose.choice([0.15, 0.5, 0.8, 1.0, 1.3, 1.8]) * self.lease_s * self.choose.uniform(0.8, 1.2)

    def break_something(self, name, whom, seconds):
        node = self.victim(whom)
        if node is None or (self.down and name.startswith("pg-")):
            return
        led = " (leads)" if whom == "leader" else ""
        is_database = name.startswith("pg-")
        self.say(f"{name}{'' if is_database else f' node {node.number}{led}'}, {seconds:.2f} s")
        self.count(name + (":leader" if whom == "leader" and not is_database else ""))
        self.FAULTS[name](self, node, seconds)

    def arm(self, label, number, after, name, seconds):
        """The same at a statement of one node, whichever comes first."""
        once, arms = threading.Lock(), []

        def act(link):
            for arm in arms:        # the others are not even cut
                arm.left = 0
            if not once.acquire(blocking=False):
                return
            node = self.nodes[link.name]
            self.count(f"point:{label}:{'after' if after else 'before'}")
            self.say(f"{name} node {node.number} {'after' if after else 'before'} {label} {number}, {seconds:.2f} s")
            if name == "pg-terminate":
                for pid in children_of(self.postgres.process.pid) if self.postgres.process else []:
                    with contextlib.suppress(OSError):
                        with open(f"/proc/{pid}/cmdline", "rb") as line:
                            if b"postgres: pawl t" in line.read():
                                os.kill(pid, signal.SIGTERM)
            elif node.is_up() and not (self.down and name.startswith("pg-")):
                self.FAULTS[name](self, node, seconds)
        for node in self.nodes:
            arms.append(Arm(label, number, after, act))
            node.link.arms.append(arms[-1])

    def plan(self):
        """[(seconds from now, act)], and how long all of it takes"""
        plan, seconds = self.plan_faults()
        if self.exchange and not self.alone:
            plan = sorted(plan + self.exchange.plan(self.choose.uniform(0.2, 0.8)), key=lambda step: step[0])
            seconds = max(seconds, plan[-1][0] + 0.5 * self.lease_s)
        return plan, seconds

    def plan_faults(self):
        plan, at = [], self.choose.uniform(0.2, 0.8)
        if self.only:
            return self.plan_only(at)
        if self.alone:
            whom = self.choose.choice(["leader", 0, 1, 2])
            plan.append((at, lambda: self.break_something("crash", whom, 100)))
            return plan, at + 2 * self.lease_s
        faults = []
        if self.choose.random() < 0.75:
            labels = sorted(set(LABELS) - QUIET - {"migrate"})
            for _ in range(self.choose.randint(1, 3)):
                label = self.choose.choice(labels)
                most = 40 if label in ("renew", "sweep", "find-given", "fence", "commit") else 5
                number = 1 if label in self.CAUSES else max(1, int(most ** self.choose.random()))
                self.arm(label, number, self.choose.random() < 0.5, self.choose.choice(self.AT_POINTS), self.length())
                if label in self.CAUSES:
                    faults.append(self.CAUSES[label])
        faults += self.choose.choices(sorted(self.FAULTS), k=self.choose.choice([1, 1, 2, 2, 3]))
        for name in faults:
            whom = self.choose.choice(["leader", "leader", 0, 1, 2, 3])
            seconds = self.length()
            plan.append((at, lambda name=name, whom=whom, seconds=seconds: self.break_something(name, whom, seconds)))
            at += self.choose.uniform(0.1, 1.0)
        return plan, at + 0.7 * self.lease_s

    def plan_only(self, at):
        """What was asked for, four times, in any order."""
        plan = []
        for _ in range(4):
            name = self.choose.choice(self.only)
            whom, seconds = self.choose.choice(["leader", 0, 1, 2, 3]), self.length()
            label, _, when = name.partition(":")
            if when:
                name = self.CAUSES.get(label, "")
                self.arm(label, 1 if name else self.choose.randint(1, 12), when == "after", "cut", seconds)
            if name:
                plan.append((at, lambda name=name, whom=whom, seconds=seconds:
                             self.break_something(name, whom, seconds)))
            at += self.choose.uniform(0.1, 1.0)
        return plan, at + 2 * self.lease_s

    # ---- carrying it out ----

    def repair_due(self, all_of_it=False):
        now = time.monotonic()
        due = [repair for repair in self.repairs if all_of_it or repair[0] <= now]
        for repair in sorted(due, key=lambda repair: repair[0]):
            self.repairs.remove(repair)
            repair[1]()

    def watch(self):
        """Nodes that have ended though nobody asked them to, and what nodes said when they started again."""
        for node in self.nodes:
            status = node.ended_by_itself()
            if status is not None:
                log = list(node.logs())[-1][1].strip().splitlines()
                text = log[-1] if log else ""
                node.expected = {status}
                node.reap()
                if node.port is None:
                    self.say(f"node {node.number} did not start: {text}")
                    if self.exchange:
                        self.exchange.refused(node, text)
                    self.later(0.3, lambda node=node: self.restart(node))
                else:
                    self.violations.append(f"node {node.number} ended by itself with {status}: {text}")
                    self.restart(node)
            elif node.is_up() and node.port is None:
                ready, _, _ = select.select([node.process.stdout], [], [], 0)
                if ready:
                    node.wait_started(5)

    def carry_out(self):
        plan, seconds = self.plan()
        began = time.monotonic()
        client_choose = type(self.choose)(self.choose.getrandbits(64))
        client = threading.Thread(target=self.traffic, args=(client_choose, began + seconds))
        client.start()
        seconds += 0.3
        while time.monotonic() < began + seconds or client.is_alive():
            while plan and began + plan[0][0] <= time.monotonic():
                plan.pop(0)[1]()
            self.repair_due()
            self.watch()
            idle(0.02)
        client.join()

    def repair_all(self):
        for node in self.nodes:
            for arm in node.link.arms:
                arm.left = 0
        left = self.choose.randrange(len(self.nodes)) if self.alone or self.choose.random() < 0.3 else None
        until = time.monotonic() + self.start_s
        if not self.alone:
            self.repair_due(all_of_it=True)
        if left is not None and not self.alone and self.nodes[left].is_up() and len(self.up()) > 1:
            self.say(f"node {left} ends for good")
            self.nodes[left].kill()
        gone = [node for node in self.nodes if self.alone and not node.is_up()] or \
            ([self.nodes[left]] if left is not None and not self.nodes[left].is_up() else [])
        while True:
            self.watch()
            self.repair_due(all_of_it=not self.alone)
            rest = [node for node in self.nodes if node not in gone]
            if all(self.is_ready(node) for node in rest):
                return
            if time.monotonic() > until:
                raise RuntimeError(f"not ready again: {[node.number for node in rest if not self.is_ready(node)]}")
            idle(0.05)

    @staticmethod
    def is_ready(node):
        with contextlib.suppress(Gone):
            return node.is_up() and node.call("GET", "/ready", seconds=5)[0] == 200
        return False

    def check_leading(self):
        """Somebody leads, and what was due when everything was repaired has been decided."""
        boot_ms, wall_ms = self.clock_began
        due_ms = (boot_ns() // 1000000 - boot_ms) * self.speed + wall_ms + self.slowest_ms
        due_ms = due_ms // 60000 * 60000
        until = time.monotonic() + 2 * self.lease_s + 5 * self.load
        while True:
            leads = self.sql("SELECT 1 FROM pawl.leases l JOIN pawl.nodes n USING (epoch) WHERE NOT n.dead")
            covered_ms = int(self.sql(f"SELECT covered_ms FROM pawl.dags WHERE name = '{SCHEDULED}'"))
            if leads and covered_ms >= due_ms - 60000:
                return
            if time.monotonic() > until:
                self.violations.append(f"schedule: nobody leads, or it does not go on: {covered_ms} is covered, "
                                       f"{due_ms} was due")
                return
            idle(0.05)

    def settle(self):
        """Everything that was asked for is there and ends."""
        self.check_leading()
        until = time.monotonic() + self.end_s
        paused = False
        while self.keys or not paused:
            self.watch()
            if time.monotonic() > until:
                raise RuntimeError("no node takes what is asked for")
            with contextlib.suppress(Gone, IndexError):
                for key, name in list(self.keys.items()):
                    self.ask(self.choose.choice(self.up()), key, name)
                status, _ = self.choose.choice(self.up()).call("POST", f"/api/v1/dags/{self.dags[SCHEDULED]}/pause")
                paused = paused or status == 204
            idle(0.02)
        if self.exchange:
            self.exchange.await_pause(until)
        while int(self.sql("SELECT count(*) FROM pawl.active_runs") or 0):
            self.watch()
            self.repair_due(all_of_it=not self.alone)
            if time.monotonic() > until:
                rows = self.sql("SELECT r.id, d.name, r.state, r.owner, n.dead, r.given, r.cancel_asked_ms "
                                "FROM pawl.active_runs r JOIN pawl.dags d USING (dag) "
                                "LEFT JOIN pawl.nodes n ON n.epoch = r.owner")
                self.violations.append(f"active after {self.end_s} s: {rows}")
                break
            idle(0.05)

    def ask_some(self, path):
        """Of any node that answers."""
        until = time.monotonic() + self.start_s
        while True:
            with contextlib.suppress(Gone, IndexError):
                return self.choose.choice(self.up()).get(path)
            if time.monotonic() > until:
                raise RuntimeError(f"nobody answers {path}")
            idle(0.05)

    def ask_ended(self, run_id):
        """The tables have it ended; a node that is short of time learns that its own commit is durable a moment later."""
        until = time.monotonic() + 2 * self.load
        while True:
            status = self.ask_some(f"/api/v1/runs/{run_id}")
            if not status or status["completedAt"] or time.monotonic() > until:
                return status
            idle(0.02)

    def collect(self):
        tables = dict(line.split("|") for line in
                      self.sql("SELECT r.id, d.name FROM (SELECT id, dag FROM pawl.runs UNION ALL SELECT id, dag FROM "
                               "pawl.active_runs) r JOIN pawl.dags d USING (dag)").splitlines())
        self.violations += [f"run {run_id} was acknowledged and is in no table" for run_id in self.runs
                            if run_id not in tables]
        known = {}
        for run_id, name in {**tables, **self.runs}.items():
            status = self.ask_ended(run_id)
            others = []
            for node in self.up() if self.choose.random() < 0.3 else []:
                with contextlib.suppress(Gone):
                    others.append(node.get(f"/api/v1/runs/{run_id}"))
            logs = {}
            for shown in status["tasks"] if status else []:
                if shown["state"] == "succeeded" and self.choose.random() < 0.3:
                    path = f"/api/v1/runs/{run_id}/tasks/{quote(shown['taskId'], safe='')}/log"
                    with contextlib.suppress(Gone):
                        logs[shown["taskId"]] = self.choose.choice(self.up()).call("GET", path)[1].decode()
            known[run_id] = {"tasks": DAGS[name], "status": status, "others": others, "logs": logs,
                             "canceled": run_id in self.canceled}
        self.runs = {run_id: known[run_id] for run_id in known}
        return known

    def check(self):
        known = self.collect()
        ledger_path = self.path / "ledger" / "ledger"
        ledger = ledger_path.read_text() if ledger_path.exists() else ""
        self.facts.slack_ns = int(self.stalls.most_s * 1e9)
        self.violations += judge.check(known, ledger, self.facts)
        fires = self.ask_some(f"/api/v1/dags/{self.dags[SCHEDULED]}/fires?limit=1000")
        self.violations += judge.check_fires(fires, known)
        late, waits = judge.check_take_over(known, judge.read_ledger(ledger), self.facts)
        self.violations += late
        self.waits = [wait / self.facts.lease_ns for wait in waits]
        for sentence, sql in judge.TABLES.items():
            found = self.sql(sql + " LIMIT 3")
            if found:
                self.violations.append(f"{sentence}: {found!r}")
        self.attempts = sum(len(lives) for lives in judge.read_ledger(ledger).values())

    def end(self):
        """All drain; nothing of those that did is left."""
        for node in self.up():
            node.expected = {0}
            node.signal(signal.SIGTERM)
        for node in self.nodes:
            if node.process.poll() is None:
                try:
                    node.reap(self.drain_s)
                except subprocess.TimeoutExpired:
                    self.violations.append(f"node {node.number} does not end")
                    continue
            if node.process.returncode == 0 and node.pids():
                with contextlib.suppress(AssertionError):
                    eventually(lambda node=node: not node.pids(), "nothing left", 5)
                if node.pids():
                    self.violations.append(f"node {node.number} left processes: {node.pids()}")
            if node.process.returncode not in node.expected:
                self.violations.append(f"node {node.number} ended with {node.process.returncode}")
        for process in self.others:
            process.wait(self.end_s)

    def check_logs(self):
        for node in self.nodes:
            for name, text in node.logs():
                for sign in ("Sanitizer", "runtime error", "ssertion", "contradicts", "cannot be taken over"):
                    at = text.find(sign)
                    if at >= 0:
                        self.violations.append(f"node {node.number} {name}: {text[max(0, at - 200):at + 300]}")

    def run(self):
        self.stalls.start()
        self.make_nodes()
        self.start_nodes()
        self.make_dags()
        self.carry_out()
        self.repair_all()
        self.settle()
        self.check()
        self.end()
        self.check_logs()

    def close(self):
        """Whatever was left open."""
        self.stalls.over.set()
        self.session.close()
        for process in self.others:
            process.kill()
            process.wait()
        if not self.story:
            self.story.append("it did not come to anything")
        for node in self.nodes:
            node.thaw()
            node.crash()
            node.link.speak()
            node.place.heal(node.link)
            node.link.close()
        for _, act in self.repairs:
            with contextlib.suppress(Exception):
                act()
        for node in self.nodes:
            node.crash()
        if self.postgres.process is None or self.postgres.process.poll() is not None:
            self.postgres.process = None
            self.postgres.start()
        for pid in [self.postgres.process.pid, *children_of(self.postgres.process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        with contextlib.suppress(Exception):
            self.postgres.call("dropdb", "-f", "-h", self.postgres.folder, "-U", "pawl",
                               self.url.split("/")[3].split("?")[0])
