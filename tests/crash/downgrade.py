"""Turns a store back into one of version 1: the tables of tests/unit/store/version1.sql with what the store of now holds in
their columns. What that version did not know is forgotten, and the next pawl has to bring the store up again."""
import sqlite3
from pathlib import Path

OLD = Path(__file__).resolve().parent.parent / "unit" / "store" / "version1.sql"


def tables(db, schema):
    return [name for (name,) in db.execute(f"SELECT name FROM {schema}.sqlite_schema WHERE type = 'table'")]


def columns(db, schema, table):
    return {row[1]: row[3] for row in db.execute(f"PRAGMA {schema}.table_info({table})")}


def copy(db, table):
    old, now = columns(db, "main", table), columns(db, "now", table)
    # a column that is gone since: nothing is known of it
    values = [name if name in now else "0" if not_null else "NULL" for name, not_null in old.items()]
    db.execute(f"DELETE FROM main.{table}")
    db.execute(f"INSERT INTO main.{table} ({', '.join(old)}) SELECT {', '.join(values)} FROM now.{table}")


def downgrade(path):
    """False: there is nothing to turn back yet. No pawl may be using the store."""
    old = path.with_suffix(".old")
    old.unlink(missing_ok=True)
    if not path.exists():
        return False
    db = sqlite3.connect(old)
    try:
        db.execute("ATTACH ? AS now", (str(path),))
        if "versions" not in tables(db, "now"):
            return False
        db.executescript(OLD.read_text())
        with db:
            for table in tables(db, "main"):
                copy(db, table)
    finally:
        db.close()
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    old.rename(path)
    return True
