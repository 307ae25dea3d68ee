"""What a node remembers between runs: killed, on a full disk, damaged, and with commands beside a daemon (issue 9.8)."""

import contextlib
import os
import sqlite3
import subprocess
import time

from nodes import OK, PATIENCE, need_root

STORE = "state.db"


def until(condition, what, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


def last_number(folder):
    """The number of the last record that the identity of this folder has signed."""
    if not (folder / STORE).exists():
        return 0
    with contextlib.closing(sqlite3.connect(folder / STORE, timeout=10)) as database:
        try:
            rows = database.execute("SELECT value FROM rows WHERE space = 'record-sequence'").fetchall()
        except sqlite3.OperationalError:
            return 0
    assert len(rows) <= 1, rows
    return int.from_bytes(rows[0][0], "big") if rows else 0


def ping(house, address):
    done = house.run("ping", "--ephemeral", "-c", "2", "-i", "400ms", address)
    assert done.returncode == OK, done.stderr


def a_killed_node_keeps_what_it_knew(house):
    """kill -9 whenever: the file is whole, and the numbers of its records only grow."""
    state, reached = house.folder / "state", 0
    for _ in range(house.rounds):
        node, address = house.listen("--state-dir", state)
        ping(house, address)
        until(lambda: last_number(state) > reached, "a number in the store")
        time.sleep(house.random.uniform(0, 0.6))
        node.kill()
        node.wait()
        with contextlib.closing(sqlite3.connect(state / STORE, timeout=10)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        number = last_number(state)
        assert number > reached, (number, reached)
        reached = number
    for name in os.listdir(state):
        assert (state / name).stat().st_mode & 0o777 == 0o600, name
    assert state.stat().st_mode & 0o777 == 0o700


def a_full_disk_costs_memory_only(house):
    need_root("mounts a tmpfs")
    state = house.folder / "small"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", state], check=True)
    try:
        filler = state / "filler"
        with open(filler, "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass
        node, address = house.listen("--state-dir", state)
        ping(house, address)
        told = node.until("storage")
        assert told["state"] == "memory-only" and told["reason"] == "full", told
        house.sent(address, "-m", "it goes on")
        filler.unlink()
        assert node.until("storage")["state"] == "kept"
        ping(house, address)
        until(lambda: last_number(state) > 0, "a number in the store")
    finally:
        house.close()
        subprocess.run(["umount", state], check=True)


def a_damaged_store_is_put_aside(house):
    state = house.folder / "state"
    state.mkdir(mode=0o700)
    (state / STORE).write_bytes(house.random.randbytes(20_000))
    node, address = house.listen("--state-dir", state)
    ping(house, address)
    told = node.until("storage")
    assert told["state"] == "started-anew" and told["path"] == str(state / f"{STORE}.damaged"), told
    until(lambda: last_number(state) > 0, "a number in the store")


def a_later_versions_store_is_left_alone(house):
    state = house.folder / "state"
    state.mkdir(mode=0o700)
    with contextlib.closing(sqlite3.connect(state / STORE)) as database:
        database.execute("PRAGMA application_id = 1685074544")
        database.execute("PRAGMA user_version = 99")
        database.execute("CREATE TABLE later (a)")
        database.commit()
    before = (state / STORE).read_bytes()
    node, address = house.listen("--state-dir", state)
    ping(house, address)
    told = node.until("storage")
    assert told["state"] == "memory-only" and told["reason"] == "newerVersion", told
    house.sent(address, "-m", "it goes on")
    assert (state / STORE).read_bytes() == before


TESTS = [
    a_killed_node_keeps_what_it_knew,
    a_full_disk_costs_memory_only,
    a_damaged_store_is_put_aside,
    a_later_versions_store_is_left_alone,
]
