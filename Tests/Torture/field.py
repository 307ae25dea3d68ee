"""What a receiver meets in the field: senders that die, folders that go, file systems that lack things, slow readers."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time

from machine import cleared
from nodes import OK, PATIENCE, PERMISSION, TRY_AGAIN, Node, assert_same, need_root
from refused import ended

MIB = 1024 * 1024


def hidden(folder):
    return sorted(name for name in os.listdir(folder) if name.startswith("."))


def events(node, kind):
    return [event for event in node.seen if event.get("type") == kind]


def large(house, name, size=512 * MIB):
    """Long enough under way that somebody can be killed meanwhile."""
    path, block = house.folder / name, house.random.randbytes(MIB)
    with open(path, "wb") as file:
        for number in range(size // MIB):
            file.write(number.to_bytes(8, "big") + block[8:])
    return path


def half_written(house):
    """Bytes on disk of files that are not whole."""
    total = 0
    for path in house.folder.rglob(".*.dep2p-partial-*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_blocks * 512
    return total


def killed_in_the_middle(house, address, source, **options):
    """A sender that dies when some of it has been written. Half a second, until it tells how far it is, may be all it needs."""
    sender = house.send(address, source, **options)
    deadline = time.monotonic() + PATIENCE
    while half_written(house) < 64 * MIB:
        assert time.monotonic() < deadline and sender.child.poll() is None, sender.text()
        time.sleep(0.001)
    sender.kill(signal.SIGKILL)
    sender.wait()


# A place taken and not given back.

def once_survives_a_killed_sender(house):
    source = large(house, "big")
    listener, address = house.listen("--once")
    killed_in_the_middle(house, address, source)
    # The dead connection has not timed out yet: the same line waits for that, and goes on where the first stopped.
    result = house.sent(address, source)
    assert result["resumed_bytes"] > 0, result
    assert listener.wait() == OK, listener.text()
    assert_same(source, house.inbox / source.name)
    assert hidden(house.inbox) == [], hidden(house.inbox)


def once_to_standard_output_ends_with_the_sender_that_began(house):
    """What is on standard output can't be taken back: the listener says who went, and that is not SIGINT."""
    source = large(house, "big")
    argv = [house.binary, "listen", "--once", "--stdout", "--realm-key", house.realm_key, "--listen", "127.0.0.1:0"]
    listener = subprocess.Popen(argv, env=house.environment("receiver"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    address = announced(listener)
    sender = house.send(address, source)
    listener.stdout.read(10 * MIB)
    sender.kill(signal.SIGKILL)
    sender.wait()
    rest = threading.Thread(target=listener.stdout.read)
    rest.start()
    said = listener.stderr.read().decode()
    rest.join()
    assert listener.wait(30) == TRY_AGAIN, (listener.returncode, said)
    assert "cancelled" not in said and "sender is gone" in said, said


def once_survives_a_refused_offer(house):
    shown = json.loads(house.run("keygen", "-o", house.folder / "allowed.pem", "--json").stdout.splitlines()[-1])
    small, large = house.source("small", 1000), house.source("large", 3 * MIB)
    ways = {"larger": ["--max-size", "1MiB"], "stream": ["--max-size", "1MiB"], "stranger": ["--allow", shown["node_id"]]}
    for way, options in ways.items():
        target = house.folder / way
        listener, address = house.listen("--once", *options, inbox=target)
        with open(large, "rb") as stream:
            refused = house.send(address, "-", stdin=stream) if way == "stream" else house.send(address, large)
            ended(refused, PERMISSION, TRY_AGAIN)
        identity = ["--identity", house.folder / "allowed.pem"] if way == "stranger" else []
        house.sent(address, small, *identity)
        assert listener.wait() == OK, f"{way}: {listener.text()}"
        assert_same(small, target / "small")


def once_survives_what_does_not_fit(house):
    with small_disk(house, 16) as small:
        listener, address = house.listen("--once", inbox=small)
        ended(house.send(address, house.source("large", 40 * MIB)), 69, 73, 74, 75, 77)
        source = house.source("little", MIB)
        house.sent(address, source)
        assert listener.wait() == OK, listener.text()
        assert_same(source, small / "little")


def a_second_sender_waits_for_the_once_of_another(house):
    big, late = large(house, "big"), house.source("late", 1000)
    listener, address = house.listen("--once")
    first = house.send(address, big)
    first.until("progress")
    second = house.send(address, late, home="second")
    message = house.send(address, "-m", "hello", home="third")
    assert first.wait() == OK, first.text()
    assert second.wait() in (TRY_AGAIN, 69), second.text()
    assert message.wait() in (TRY_AGAIN, 69), message.text()
    assert listener.wait() == OK, listener.text()
    assert os.listdir(house.inbox) == ["big"], os.listdir(house.inbox)


def the_timeout_of_once_does_not_cut_what_is_coming(house):
    data = house.random.randbytes(8 * MIB)
    listener, address = house.listen("--once", "--timeout", "3s")
    read_end, write_end = os.pipe()
    sender = house.send(address, "-", stdin=read_end)
    os.close(read_end)
    with os.fdopen(write_end, "wb") as slow:
        for start in range(0, len(data), MIB):
            slow.write(data[start:start + MIB])
            slow.flush()
            time.sleep(0.6)
    assert sender.wait() == OK, sender.text()
    assert listener.wait() == OK, listener.text()
    assert (house.inbox / "stdin").read_bytes() == data


def the_timeout_of_once_counts_when_what_came_broke_off(house):
    source = large(house, "big")
    listener, address = house.listen("--once", "--timeout", "2s")
    killed_in_the_middle(house, address, source)
    assert listener.wait() == TRY_AGAIN, listener.text()
    assert "nothing arrived" in listener.text()


# The output folder.

def an_output_folder_made_anew_is_used(house):
    for way in ("removed and made", "removed", "renamed", "renamed and made"):
        shutil.rmtree(house.inbox, ignore_errors=True)
        house.inbox.mkdir()
        listener, address = house.listen()
        house.sent(address, house.source("first", 1000))
        if way.startswith("removed"):
            shutil.rmtree(house.inbox)
        else:
            house.inbox.rename(house.folder / way.replace(" ", "-"))
        if way.endswith("made"):
            house.inbox.mkdir()
        source = house.source("second", 1000)
        house.sent(address, source)
        assert_same(source, house.inbox / "second")
        paths = [event["path"] for event in events(listener, "file")]
        assert paths[-1] == str(house.inbox / "second") and os.path.exists(paths[-1]), f"{way}: {paths}"
        listener.kill(signal.SIGTERM)
        assert listener.wait() == OK


def a_disk_mounted_over_the_folder_is_used(house):
    need_root("mounts a tmpfs")
    _, address = house.listen()
    house.sent(address, house.source("first", 1000))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", house.inbox], check=True)
    try:
        source = house.source("second", 1000)
        house.sent(address, source)
        assert_same(source, house.inbox / "second")
        assert cleared(house.inbox) == ["second"]
    finally:
        house.close()
        subprocess.run(["umount", house.inbox], check=True)


# What a file system lacks.

LACKING = ["folder-fsync", "fsync", "flock", "flock-enosys", "renameat2", "renameat2-enosys", "renameat2 link",
           "renameat2 link flock folder-fsync", "renameat2 unlink", "rename-answer", "modes times", "statvfs", "owner",
           "owner flock", "tmpfile", "tmpfile flock", "tmpfile renameat2 link", "link", "link-empty"]


def preloaded(house, lacks, target):
    library = house.folder / "lacking.so"
    if not library.exists():
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, pathlib.Path(__file__).parent / "lacking.c", "-ldl"],
                       check=True)
    environment = house.environment("receiver")
    return environment | {"LD_PRELOAD": str(library), "LACKS": lacks, "LACKS_BELOW": str(target)}


def lacking_listener(house, lacks, target):
    node = Node([house.binary, "listen", "--json", "--realm-key", house.realm_key, "--listen", "127.0.0.1:0", "-o", target],
                preloaded(house, lacks, target))
    house.nodes.append(node)
    return node, node.until("listening")["addresses"][0]


def a_file_system_that_lacks_something_still_takes_files(house):
    source = house.source("x", 3 * MIB)
    folder = house.folder / "several"
    folder.mkdir()
    for index in range(3):
        (folder / f"{index}").write_bytes(house.random.randbytes(1000))
    failures = []
    for lacks in LACKING:
        target = house.folder / ("in " + lacks).replace(" ", "-")
        listener, address = lacking_listener(house, lacks, target)
        try:
            for _ in range(2):
                house.sent(address, source, folder)
            names = sorted(name for name in (os.listdir if "unlink" in lacks else cleared)(target)
                           if "unlink" not in lacks or not name.startswith("."))
            assert names == ["several", "x", "x (1)"], names
            assert_same(source, target / "x")
            assert_same(source, target / "x (1)")
            assert sorted(os.listdir(target / "several")) == ["0", "0 (1)", "1", "1 (1)", "2", "2 (1)"] or "unlink" in lacks
        except AssertionError as failure:
            failures.append(f"{lacks}: {failure}")
        listener.kill()
        listener.wait()
    assert not failures, "; ".join(failures)


def a_transfer_resumes_where_locks_and_owners_are_missing(house):
    source = large(house, "big")
    for lacks in ("flock", "owner", "renameat2 link"):
        target = house.folder / ("resumed " + lacks).replace(" ", "-")
        listener, address = lacking_listener(house, lacks, target)
        killed_in_the_middle(house, address, source)
        result = house.sent(address, source)
        assert result["resumed_bytes"] > 0, f"{lacks}: {result}"
        assert_same(source, target / "big")
        cleared(target)
        assert hidden(target) == [], hidden(target)
        listener.kill()
        listener.wait()


def names_that_a_file_system_refuses_are_made_portable(house):
    folder = house.folder / "a:b"
    folder.mkdir()
    (folder / "12:30.txt").write_bytes(b"noon")
    plain = house.folder / "10:15.txt"
    plain.write_bytes(b"morning")
    listener, address = lacking_listener(house, "colons", house.folder / "in-colons")
    house.sent(address, folder, plain)
    assert (house.folder / "in-colons" / "a_b" / "12_30.txt").read_bytes() == b"noon"
    assert (house.folder / "in-colons" / "10_15.txt").read_bytes() == b"morning"
    assert {os.path.basename(event["path"]) for event in events(listener, "file")} == {"12_30.txt", "10_15.txt"}


# Busy, not dead.

def announced(process):
    for line in process.stderr:
        if b"listening on /" in line:
            return line.decode().split()[-1]
    raise AssertionError("the listener ended")


def a_consumer_that_pauses_costs_no_stream(house):
    """45 s is longer than the stall rule's 30 s."""
    source = house.source("big", 100 * MIB)
    argv = [house.binary, "listen", "--once", "--stdout", "--realm-key", house.realm_key, "--listen", "127.0.0.1:0"]
    listener = subprocess.Popen(argv, env=house.environment("receiver"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    sender = house.send(announced(listener), source)
    time.sleep(45)
    received = listener.stdout.read()
    assert sender.wait(90) == OK, sender.text()
    assert listener.wait(30) == OK, listener.stderr.read()
    assert received == source.read_bytes()


def a_disk_error_names_the_side(house):
    argv = [house.binary, "listen", "--once", "--stdout", "--realm-key", house.realm_key, "--listen", "127.0.0.1:0"]
    with open("/dev/full", "wb") as full:
        listener = subprocess.Popen(argv, env=house.environment("receiver"), stdout=full, stderr=subprocess.PIPE)
    sender = house.send(announced(listener), house.source("big", 8 * MIB))
    sender.wait()
    assert "the receiver: standard output: No space left" in sender.text(), sender.text()
    assert listener.wait(30) == 73, listener.returncode
    assert b"the receiver" not in listener.stderr.read()


def stream_under_way(house, address):
    """A sender of standard input that has begun, and what to write to: it has no end that could come too early."""
    read_end, write_end = os.pipe()
    sender = house.send(address, "-", stdin=read_end)
    os.close(read_end)
    os.write(write_end, bytes(1000))
    sender.until("progress")
    return sender, write_end


def who_cancels_is_named(house):
    listener, address = house.listen()
    sender, write_end = stream_under_way(house, address)
    sender.kill(signal.SIGINT)
    assert sender.wait() == 130, sender.text()
    end = listener.until("transfer")
    assert not end["ok"] and "sender" in end["message"] and "receiver" not in end["message"], end
    os.close(write_end)
    sender, write_end = stream_under_way(house, address)
    listener.kill(signal.SIGTERM)
    assert listener.wait() == OK
    assert sender.wait() in (69, 74, TRY_AGAIN), sender.text()
    assert "the sender" not in sender.text(), sender.text()
    os.close(write_end)


# Limits.

def more_at_once_than_the_limit_wait(house):
    """Twenty senders that have begun and not ended: each gets its turn when one before it is done."""
    _, address = house.listen()
    senders = []
    for index in range(20):
        read_end, write_end = os.pipe()
        senders.append((house.send(address, "-", "--ephemeral", stdin=read_end), os.fdopen(write_end, "wb")))
        os.close(read_end)
    for index, (sender, pipe) in enumerate(senders):
        sender.until("path")
    time.sleep(2)
    for index, (_, pipe) in enumerate(senders):
        pipe.write(b"%d" % index)
        pipe.close()
    for sender, _ in senders:
        assert sender.wait(120) == OK, sender.text()
    received = sorted((house.inbox / name).read_bytes() for name in cleared(house.inbox))
    assert received == sorted(b"%d" % index for index in range(20)), received


def sixty_at_once_all_arrive(house):
    _, address = house.listen()
    senders = []
    for index in range(60):
        senders.append(house.send(address, house.source(f"f{index}", 2000), "--ephemeral"))
    for sender in senders:
        assert sender.wait(120) == OK, sender.text()
    assert len(cleared(house.inbox)) == 60, os.listdir(house.inbox)


# Room.

class small_disk:
    """A tmpfs of so many MiB."""

    def __init__(self, house, size):
        need_root("mounts a tmpfs")
        self.house, self.path = house, house.folder / "small"
        self.path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "none", self.path], check=True)

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        self.house.close()
        subprocess.run(["umount", self.path], check=True)


def of_two_that_fit_alone_one_arrives(house):
    with small_disk(house, 100) as small:
        _, address = house.listen(inbox=small)
        sources = [house.source(f"big{index}", 70 * MIB) for index in range(2)]
        senders = [house.send(address, source, home=f"s{index}") for index, source in enumerate(sources)]
        statuses = [sender.wait() for sender in senders]
        assert statuses.count(OK) == 1, [sender.text() for sender in senders]
        other = senders[statuses.index(OK) ^ 1]
        assert "the receiver:" in other.text() and "free" in other.text(), other.text()
        assert len(cleared(small)) == 1, os.listdir(small)
        little = house.source("little", 10 * MIB)
        house.sent(address, little)


def what_nobody_finishes_is_not_in_the_way(house):
    with small_disk(house, 100) as small:
        _, address = house.listen(inbox=small)
        read_end, write_end = os.pipe()
        sender = house.send(address, "-", stdin=read_end)
        os.close(read_end)
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(house.random.randbytes(80 * MIB))
            pipe.flush()
            time.sleep(1)
            sender.kill(signal.SIGKILL)
        time.sleep(38)  # its sender may come back for 30 s, and what there is of its file goes after that
        other = house.source("other", 95 * MIB)
        house.sent(address, other, home="another")
        assert_same(other, small / "other")


def a_changed_source_leaves_no_partial_file(house):
    source = large(house, "big")
    _, address = house.listen()
    killed_in_the_middle(house, address, source)
    with open(source, "ab") as file:
        file.write(b"more\n")
    house.sent(address, source)
    assert_same(source, house.inbox / "big")
    assert cleared(house.inbox) == ["big"], os.listdir(house.inbox)


# One name, several at once.

def streams_of_one_identity_at_once_all_arrive(house):
    """The first stays open until the others are there."""
    _, address = house.listen()
    parts = [house.random.randbytes(3 * MIB) for _ in range(3)]
    read_end, write_end = os.pipe()
    first = house.send(address, "-", stdin=read_end)
    os.close(read_end)
    with os.fdopen(write_end, "wb") as pipe:
        pipe.write(parts[0][:MIB])
        pipe.flush()
        first.until("progress")
        for part in parts[1:]:
            done = house.run("send", "--realm-key", house.realm_key, "--to", address, "-", stdin=None, input=part)
            assert done.returncode == OK, done.stderr
        pipe.write(parts[0][MIB:])
    assert first.wait() == OK, first.text()
    received = sorted((house.inbox / name).read_bytes() for name in cleared(house.inbox))
    assert received == sorted(parts)


def files_of_one_name_at_once_all_arrive_and_all_are_reported(house):
    listener, address = house.listen()
    sources = []
    for side in ("left", "right"):
        (house.folder / side).mkdir()
        path = house.folder / side / "same.bin"
        path.write_bytes(house.random.randbytes(60 * MIB))
        sources.append(path)
    senders = [house.send(address, source) for source in sources]
    for sender in senders:
        assert sender.wait() == OK, sender.text()
    received = {path.read_bytes() for path in house.inbox.iterdir()}
    assert received == {path.read_bytes() for path in sources}
    for kind in ("offer", "file", "transfer"):
        told = events(listener, kind)
        assert len(told) == 2 and len({event["transfer"] for event in told}) == 2, told


# What a peer writes.

def a_message_is_one_line_whatever_is_in_it(house):
    listener = subprocess.Popen(
        [house.binary, "listen", "--realm-key", house.realm_key, "--listen", "127.0.0.1:0"],
        env=house.environment("receiver"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    address = announced(listener)
    other = address.rsplit("/", 1)[1]
    for feed in ("\n", "\r", "\u2028", "\x0b", "\x85"):
        house.sent(address, "-m", f"hello{feed}{other}: send me the key")
    listener.terminate()
    lines = listener.stdout.read().decode().splitlines()
    assert len(lines) == 5 and not any(line.startswith(other) for line in lines), lines


def names_that_would_mislead_are_written_out(house):
    _, address = house.listen()
    for name in (".bashrc", "-rf", "a\u200bb", "\u3164"):
        house.sent(address, "--", house.source(name, 10))
    assert sorted(cleared(house.inbox)) == ["_-rf", "_.bashrc", "a{U+200B}b", "{U+3164}"], os.listdir(house.inbox)


TESTS = [once_survives_a_killed_sender, once_to_standard_output_ends_with_the_sender_that_began,
         once_survives_a_refused_offer, once_survives_what_does_not_fit, a_second_sender_waits_for_the_once_of_another,
         the_timeout_of_once_does_not_cut_what_is_coming, the_timeout_of_once_counts_when_what_came_broke_off,
         an_output_folder_made_anew_is_used, a_disk_mounted_over_the_folder_is_used,
         a_file_system_that_lacks_something_still_takes_files, a_transfer_resumes_where_locks_and_owners_are_missing,
         names_that_a_file_system_refuses_are_made_portable, a_consumer_that_pauses_costs_no_stream,
         a_disk_error_names_the_side, who_cancels_is_named, more_at_once_than_the_limit_wait, sixty_at_once_all_arrive,
         of_two_that_fit_alone_one_arrives,
         what_nobody_finishes_is_not_in_the_way, a_changed_source_leaves_no_partial_file,
         streams_of_one_identity_at_once_all_arrive, files_of_one_name_at_once_all_arrive_and_all_are_reported,
         a_message_is_one_line_whatever_is_in_it, names_that_would_mislead_are_written_out]
