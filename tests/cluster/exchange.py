"""A rolling upgrade in a scenario: nodes begin with an older program and are given the new one, one after the other at
random moments, whatever else goes wrong; some go back to the older one, some of those forward again."""
import time

from nodes import idle

REFUSED = "use a newer pawl"        # how an older program says that it cannot live with the tables
HOW = ["drain", "drain", "drain", "kill", "crash"]


class Exchange:
    def __init__(self, scenario, older):
        self.scenario, self.older, self.new = scenario, older, scenario.lane.pawl
        self.choose = scenario.choose

    def first(self):
        """What a node begins with. Where one crash is measured nothing is exchanged: both are there from the start."""
        return self.older if self.choose.random() < (0.5 if self.scenario.alone else 0.9) else self.new

    def give(self, node, program, how, seconds):
        scenario = self.scenario
        if node.pawl == program:
            return
        node.pawl = program
        scenario.count(f"{'upgrade' if program == self.new else 'back'}:{how}")
        scenario.say(f"node {node.number} is given the {self.name(node)} program by {how}, {seconds:.2f} s")
        if node.is_up():            # else whatever ended it starts it again
            scenario.FAULTS[how](scenario, node, seconds)

    def name(self, node):
        return "new" if node.pawl == self.new else "older"

    def plan(self, at):
        """[(seconds from now, act)]. In some scenarios one node is never exchanged, in some not even one goes back."""
        plan, choose = [], self.choose
        nodes = choose.sample(self.scenario.nodes, len(self.scenario.nodes))
        if choose.random() < 0.2:
            nodes.pop()

        def then(node, program):
            how, seconds = choose.choice(HOW), choose.uniform(0.05, 0.5)
            plan.append((at, lambda: self.give(node, program, how, seconds)))
        for node in nodes:
            then(node, self.new)
            at += choose.uniform(0.2, 1.2)
            if choose.random() < 0.3:
                back = choose.choice(self.scenario.nodes)
                then(back, self.older)
                at += choose.uniform(0.2, 1.2)
                if choose.random() < 0.6:
                    then(back, self.new)
                    at += choose.uniform(0.2, 1.2)
        return plan

    def refused(self, node, text):
        """It went back, and the tables do not allow that."""
        if REFUSED in text and node.pawl == self.older:
            node.pawl = self.new
            self.scenario.count("refused")

    def await_pause(self, until):
        """An older program that leads may not know of a pause before it has renewed its lease, and fires until then."""
        told, before = 0, None
        while told < 3 and time.monotonic() < until and any(node.runs != self.new for node in self.scenario.nodes):
            lease = self.scenario.sql("SELECT n.lease_until FROM pawl.leases l JOIN pawl.nodes n USING (epoch)")
            told, before = told + (lease != before), lease
            self.scenario.watch()
            idle(0.02)
