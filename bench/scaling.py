#!/usr/bin/env python3
"""How far one PostgreSQL reaches: a simulation of nodes that commit to it, with what `make bench` measured of both.

Each node has slots whose tasks end after random times (exponential). Ends that wait go into one commit, and only one is
under way; the slots of its tasks take the next ones when it is durable. The database has cores that serve commits in
order of arrival, and a disk whose flushes serve everything that waits (group commit). Beats and words cost CPU beside it.
Prints the table of docs/scaling.md. No clock, no randomness but the seed.
"""
import argparse
import heapq
import random

COMMIT_US = 530         # CPU of PostgreSQL a commit: begin, fence, commit, and what comes with each statement
TASK_US = 26            # and a task in it: its claim and its end
FLUSH_US = 1000         # a flush of the write-ahead log
WIRE_US = 5 * 150       # five statements there and back, one after the other
WAL_BYTES = 510         # a task, in commits of many
WAL_COMMIT_BYTES = 220  # and a commit
BEAT_US = 600           # a renewal and what a node looks at with it
BEATS = 1 / 3           # a second and node: a fifth of a lease of 15 s
WORD_US = 3             # one word to one listener
WORDS = 1.0             # a second and node whose load changes; at most five


class Database:
    def __init__(self, cores):
        self.free = [0.0] * cores       # when each core is
        self.busy = 0.0
        self.flush_end = 0.0

    def commit(self, now, tasks):
        """When a commit that arrives now is durable."""
        core = min(range(len(self.free)), key=self.free.__getitem__)
        work = COMMIT_US + TASK_US * tasks
        begin = max(now, self.free[core])
        self.free[core] = begin + work
        self.busy += work
        done = begin + work + WIRE_US
        if done > self.flush_end:       # a flush of its own, or the next one, which takes all that wait
            self.flush_end = done + FLUSH_US
            return self.flush_end
        return self.flush_end + FLUSH_US


def simulate(nodes, slots, task_s, cores, seconds, seed=1):
    draw = random.Random(seed)
    database = Database(cores)
    waiting = [0] * nodes               # ends that are not in a commit yet
    in_commit = [0] * nodes
    began = [0.0] * nodes
    events, latencies = [], []
    end = seconds * 1e6
    done = commits = 0
    side = nodes * BEATS * BEAT_US + nodes * min(5.0, WORDS, slots / task_s) * nodes * WORD_US
    if side >= cores * 1e6:
        return None                     # beats and words alone are more than there is
    database.free = [0.0] * cores
    slow = 1 / (1 - side / (cores * 1e6))       # they take their share of each core
    global COMMIT_US, TASK_US
    was = COMMIT_US, TASK_US
    COMMIT_US, TASK_US = COMMIT_US * slow, TASK_US * slow
    for node in range(nodes):
        for _ in range(slots):
            heapq.heappush(events, (draw.expovariate(1 / (task_s * 1e6)), 0, node))

    def send(node, now):
        nonlocal commits
        in_commit[node], waiting[node] = waiting[node], 0
        began[node] = now
        commits += 1
        heapq.heappush(events, (database.commit(now, in_commit[node]), 1, node))

    while events:
        now, kind, node = heapq.heappop(events)
        if now > end:
            break
        if kind == 0:
            waiting[node] += 1
        else:
            latencies.append(now - began[node])
            done += in_commit[node]
            for _ in range(in_commit[node]):
                heapq.heappush(events, (now + draw.expovariate(1 / (task_s * 1e6)), 0, node))
            in_commit[node] = 0
        if waiting[node] and not in_commit[node]:
            send(node, now)
    COMMIT_US, TASK_US = was
    latencies.sort()
    cpu = (done * TASK_US + commits * COMMIT_US) / end + side / 1e6
    return {"rate": done / seconds, "ideal": nodes * slots / task_s, "commits": commits / seconds, "cpu": cpu,
            "p50": latencies[len(latencies) // 2] / 1000, "p99": latencies[len(latencies) * 99 // 100] / 1000,
            "wal": (done * WAL_BYTES + commits * WAL_COMMIT_BYTES) / seconds / 1e6, "side": side / 1e6}


CASES = [               # nodes, slots, seconds a task, cores of the database, seconds simulated
    (1, 8, 0.01, 2, 20), (4, 8, 0.01, 2, 20), (10, 16, 0.01, 4, 10), (10, 64, 1, 4, 30), (50, 16, 1, 4, 30),
    (100, 16, 1, 8, 20), (100, 64, 1, 16, 10), (300, 16, 10, 8, 60), (1000, 8, 10, 16, 60), (1000, 8, 60, 16, 120),
    (1000, 64, 10, 32, 10), (400, 64, 1, 32, 1.5),
]


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print("| nodes | slots each | a task | cores of PostgreSQL | tasks/s | of what the slots allow | commits/s | a commit, median / p99 | "
          "cores busy | of these beats and words | WAL |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for nodes, slots, task_s, cores, seconds in CASES:
        found = simulate(nodes, slots, task_s, cores, seconds)
        head = f"| {nodes:,} | {slots} | {task_s:g} s | {cores} | "
        if not found:
            print(head + "beats and words alone are more than that |  |  |  |  |  |  |")
            continue
        print(head + f"{found['rate']:,.0f} | {100 * found['rate'] / found['ideal']:.0f} % | {found['commits']:,.0f} | "
              f"{found['p50']:.1f} / {found['p99']:.1f} ms | {found['cpu']:.1f} | {found['side']:.2f} | {found['wal']:.1f} MB/s |")


if __name__ == "__main__":
    main()
