"""Tables on PostgreSQL that are older or newer than the program. Older programs are built from the history and exchanged
for this one by `make cluster-upgrade`; here, where there may be no history, what one would see is made of numbers in
pawl.meta, and older tables by taking the last steps back."""
import concurrent.futures
import re

import pytest
from support import dag, eventually, states
from test_cluster_faults import session

OPTIONS = ("--lease", "3s", "--workers", "1")
DAG = dag({"id": "a", "command": "true"})
# Of the last steps of pg_migrate.c, the newest first.
TAKE_BACK = ["ALTER TABLE pawl.dags DROP COLUMN resumed_at",
             "ALTER TABLE pawl.active_runs DROP COLUMN came_to",
             "ALTER TABLE pawl.dags DROP COLUMN backfilled_by",
             "ALTER TABLE pawl.fires DROP COLUMN parallel",
             "DROP TABLE pawl.asked_logs; DROP TABLE pawl.asked_workers"]


def version_of(postgres, url):
    return int(postgres.sql(url, "SELECT version FROM pawl.meta"))


def test_newer_tables(postgres, make_daemon):
    """Those that say so serve an older program too; others are refused and left as they are."""
    url = postgres.database()
    one, two = [make_daemon("--store", url, *OPTIONS) for _ in range(2)]
    kept = one.start().execute("kept", DAG)["runId"]
    known = version_of(postgres, url)
    postgres.sql(url, f"UPDATE pawl.meta SET version = {known + 1}")
    assert two.start().run(kept)["state"] == "succeeded"
    assert states(two.execute("more", DAG)) == {"a": "succeeded"}
    two.stop()
    postgres.sql(url, f"UPDATE pawl.meta SET least = {known + 1}")
    two.spawn()
    assert two.read_line() == "" and two.wait() not in (0, -6)
    assert re.search(rf"version {known + 1}, this pawl knows up to {known}: use a newer pawl", two.log()), two.log()
    assert version_of(postgres, url) == known + 1
    assert one.execute("again", DAG)["state"] == "succeeded", "who serves already goes on"


@pytest.mark.parametrize("steps", range(1, len(TAKE_BACK) + 1))
def test_older_tables_are_brought_up_once(postgres, make_daemon, steps):
    """By whichever of several nodes comes first, all that start at once; what was there is there."""
    url = postgres.database()
    old = make_daemon("--store", url, *OPTIONS).start()
    kept = old.execute("kept", DAG)["runId"]
    old.stop()
    known = version_of(postgres, url)
    for sql in TAKE_BACK[:steps]:
        postgres.sql(url, sql)
    postgres.sql(url, f"UPDATE pawl.meta SET version = {known - steps}")
    trio = [make_daemon("--store", url, *OPTIONS) for _ in range(3)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda node: node.start(), trio))
    assert version_of(postgres, url) == known
    for i, node in enumerate(trio):
        assert node.run(kept)["state"] == "succeeded"
        assert states(node.execute(f"more{i}", DAG)) == {"a": "succeeded"}
    eventually(lambda: len(trio[0].get("/api/v1/cluster").json["nodes"]) == 3, "a cluster of three")


def test_older_nodes_that_could_not_live_with_the_tables(postgres, make_daemon):
    """Version 3 knew nothing of attempts that nodes run for each other (`least` is 5 since): none of it may be alive."""
    url = postgres.database()
    one, two = [make_daemon("--store", url, *OPTIONS) for _ in range(2)]
    one.start()
    known = version_of(postgres, url)
    postgres.sql(url, "UPDATE pawl.meta SET version = 3, least = 3")
    two.spawn()
    assert two.read_line() == "" and two.wait() not in (0, -6)
    assert re.search("older nodes live on the PostgreSQL store.* stop them first", two.log()), two.log()
    assert version_of(postgres, url) == 3
    assert one.execute("on", DAG)["state"] == "succeeded", "who is alive goes on"
    one.stop()
    postgres.sql(url, f"UPDATE pawl.meta SET version = {known}, least = 5")
    assert states(two.start().execute("more", DAG)) == {"a": "succeeded"}


def test_a_newer_node_comes_between(postgres, make_daemon):
    """After this one has looked at the tables and before it joins, which a lock holds up: it does not join."""
    url = postgres.database()
    one, two = [make_daemon("--store", url, *OPTIONS) for _ in range(2)]
    one.start()
    known = version_of(postgres, url)
    with session(postgres, url, "LOCK TABLE pawl.nodes IN EXCLUSIVE MODE"):
        two.spawn()
        eventually(lambda: postgres.sql(url, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                                             "AND query LIKE 'WITH before%'"), "a node that is about to join")
        postgres.sql(url, f"UPDATE pawl.meta SET version = {known + 1}, least = {known + 1}")
    assert two.read_line() == "" and two.wait() not in (0, -6)
    assert "a newer pawl has changed the tables" in two.log(), two.log()
    assert len(one.get("/api/v1/cluster").json["nodes"]) == 1
