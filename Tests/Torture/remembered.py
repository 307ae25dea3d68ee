"""What a node remembers between runs: killed, on a full disk, damaged, and with commands beside a daemon (issue 9.8)."""

import contextlib
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import time

from nodes import OK, PATIENCE, TRY_AGAIN, UNAVAILABLE, UNKNOWN, need_root

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
        # It may have found that out before it told that it listens.
        told = node.ever("storage")
        assert told["state"] == "memory-only" and told["reason"] == "full", told
        house.sent(address, "-m", "it goes on")
        filler.unlink()
        while node.until("storage")["state"] != "kept":
            pass
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
    told = node.ever("storage")
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
    told = node.ever("storage")
    assert told["state"] == "memory-only" and told["reason"] == "newerVersion", told
    house.sent(address, "-m", "it goes on")
    assert (state / STORE).read_bytes() == before


def a_peer_met_before_is_reached_however_the_last_run_ended(house):
    """kill -9 whenever, a second after they met at the earliest: its NodeID is enough from then on (issue 10.4)."""
    listener, address = house.listen()
    node_id = address.rsplit("/", 1)[1]
    for number in range(house.rounds):
        home = f"sender-{number}"
        node = house.start(home, "ping", "--realm-key", house.realm_key, "-c", "1000", "-i", "50ms", address)
        node.until("reply")
        time.sleep(1 + house.random.uniform(0, 0.5))
        node.kill()
        node.wait()
        # What is killed in the midst of looking the peer up leaves it as it was.
        for _ in range(3):
            again = house.send(node_id, "-m", "killed", home=home)
            time.sleep(house.random.uniform(0, 0.3))
            again.kill()
            again.wait()
        house.sent(node_id, "-m", "without its address", home=home)
    assert listener.child.poll() is None


def what_is_in_the_place_of_a_store_is_left_alone(house):
    """A link, a folder, a pipe, a device: what is behind it stays as it is, and memory has to do."""
    elsewhere = house.folder / "elsewhere"
    elsewhere.write_text("kept")
    state = house.folder / "state"
    for make in (lambda path: path.symlink_to(elsewhere), lambda path: path.mkdir(), os.mkfifo,
                 lambda path: path.symlink_to("/dev/full"), lambda path: path.symlink_to(path)):
        for name in (STORE, f"{STORE}.lock"):
            shutil.rmtree(state, ignore_errors=True)
            state.mkdir(mode=0o700)
            make(state / name)
            node, address = house.listen("--state-dir", state)
            ping(house, address)
            house.sent(address, "-m", "it goes on")
            node.kill(signal.SIGTERM)
            assert node.wait() == OK, (name, node.text())
            assert elsewhere.read_text() == "kept"


def row_sum(space, key, value, stamp, expires):
    """What tells a row that the disk has changed from one that was written (RowStore.swift)."""
    digest = hashlib.sha256()
    for part in (space.encode(), key, value):
        digest.update(len(part).to_bytes(8, "big") + part)
    digest.update(stamp.to_bytes(8, "big") + (expires if expires is not None else (1 << 64) - 1).to_bytes(8, "big"))
    return int.from_bytes(digest.digest()[:8], "big", signed=True)


def rows_that_nobody_wrote_are_no_obstacle(house):
    """Rows whose sums are right, and whose values no node writes: the largest numbers, lengths beyond the end."""
    listener, address = house.listen()
    node_id = address.rsplit("/", 1)[1]
    house.sent(address, "-m", "met")
    store, = (house.folder / "home-sender").rglob(STORE)
    most, here = b"\xff" * 8, bytes.fromhex("04" + "7f000001" + "9102" + "0001" + "cd03")
    head = b"\x01" + most + b"\x02" + most
    known = len(here).to_bytes(2, "big") + here
    values = [b"", b"\x00", b"\x01", b"\x02" + bytes(40), head, head + bytes(6) + b"\xff", head + b"\xff\xff" + bytes(100),
              head + bytes(6) + b"\x01" + known + b"\xff" + most + most + b"\xff" + most,
              head + bytes(6) + b"\x01" + known + b"\x05" + most + most + b"\x01" + most,
              head + bytes(6) + b"\x14" + (known + b"\x04" + most + most + b"\x02" + most) * 20, os.urandom(60_000)]
    for value in values:
        for stamp, expires in ((0, None), ((1 << 63) - 1, (1 << 63) - 1)):
            with contextlib.closing(sqlite3.connect(store, timeout=10)) as database:
                (key,) = database.execute("SELECT key FROM rows WHERE space = 'peers'").fetchone()
                row = ("peers", key, value, stamp, expires, row_sum("peers", key, value, stamp, expires))
                database.execute("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?)", row)
                database.commit()
            # Without a word of where it is: found, or said to be nowhere.
            lost = house.send(node_id, "-m", "by the row", "--timeout", "3s")
            assert lost.wait() in (OK, UNKNOWN, UNAVAILABLE, TRY_AGAIN), (value[:40], lost.child.returncode, lost.text())
            house.sent(address, "-m", "by its address")
            house.sent(node_id, "-m", "as it is known again")
    assert listener.child.poll() is None


TESTS = [
    a_killed_node_keeps_what_it_knew,
    a_peer_met_before_is_reached_however_the_last_run_ended,
    what_is_in_the_place_of_a_store_is_left_alone,
    rows_that_nobody_wrote_are_no_obstacle,
    a_full_disk_costs_memory_only,
    a_damaged_store_is_put_aside,
    a_later_versions_store_is_left_alone,
]
