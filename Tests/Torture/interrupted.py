"""Transfers that end before their end: killed on either side at random moments, and resumed by the same line."""

import os
import shutil
import signal
import time

from nodes import OK, TRY_AGAIN, UNAVAILABLE, IO_ERROR, assert_same

SIZE = 192 * 1024 * 1024
# How a sender may end when its receiver vanished (cli.md: unavailable, I/O, try again).
LOST = {UNAVAILABLE, IO_ERROR, TRY_AGAIN}


def duration_of_a_transfer(house, source):
    listener, address = house.listen("--once")
    started = time.monotonic()
    house.sent(address, source)
    elapsed = time.monotonic() - started
    assert listener.wait() == OK
    shutil.rmtree(house.inbox)
    house.inbox.mkdir()
    return elapsed


def nothing_half_written(house, source):
    """Under its final name a file is whole, or is not there."""
    target = house.inbox / source.name
    if target.exists():
        assert_same(source, target)


def finish(house, source, port, resumed_expected):
    listener, address = house.listen("--once", port=port)
    result = house.sent(address, source)
    assert listener.wait() == OK, listener.text()
    assert_same(source, house.inbox / source.name)
    left = [name for name in os.listdir(house.inbox) if name != source.name]
    assert not left, f"left in the inbox: {left}"
    if resumed_expected:
        assert result["resumed_bytes"] > 0, f"started from the beginning again: {result}"


def killed(house, victims):
    """Kills the chosen sides again and again at random moments of a transfer, then lets it finish."""
    source = house.source("disk.img", SIZE)
    elapsed = duration_of_a_transfer(house, source)
    partial = False
    for _ in range(house.rounds):
        listener, address = house.listen()
        sender = house.send(address, source)
        time.sleep(house.random.uniform(0.1, 0.9) * elapsed)
        for side, node in (("receiver", listener), ("sender", sender)):
            if side in victims:
                node.kill(signal.SIGKILL)
        if "receiver" not in victims:
            sender.wait()
            listener.kill(signal.SIGTERM)
            assert listener.wait() == OK, listener.text()
        else:
            listener.wait()
            status = sender.wait()
            assert status in LOST | {OK, -signal.SIGKILL}, f"the sender ended with {status}: {sender.text()}"
            if status != -signal.SIGKILL:
                sender.result()
        nothing_half_written(house, source)
        if (house.inbox / source.name).exists():
            # It was faster than the kill: begin again.
            shutil.rmtree(house.inbox)
            house.inbox.mkdir()
            partial = False
        else:
            partial = partial or any(path.stat().st_blocks * 512 > 32 * 1024 * 1024
                                     for path in house.inbox.rglob("*") if path.is_file())
    finish(house, source, 0, partial)


def a_killed_sender_resumes(house):
    killed(house, {"sender"})


def a_killed_receiver_resumes(house):
    killed(house, {"receiver"})


def both_killed_resume(house):
    killed(house, {"sender", "receiver"})


def an_interrupted_sender_says_so_and_resumes(house):
    """SIGINT ends send with 130 and leaves the listener serving."""
    source = house.source("disk.img", SIZE)
    elapsed = duration_of_a_transfer(house, source)
    listener, address = house.listen()
    for number, wanted in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        sender = house.send(address, source)
        time.sleep(0.4 * elapsed)
        sender.kill(number)
        status = sender.wait()
        assert status in (wanted, OK), f"ended with {status}: {sender.text()}"
    house.sent(address, source)
    received = [path for path in house.inbox.iterdir() if path.name.startswith("disk")]
    for path in received:
        assert_same(source, path)
    assert received
    listener.kill(signal.SIGTERM)
    assert listener.wait() == OK, listener.text()


def a_changed_source_is_not_glued_to_the_old_part(house):
    """What was held of the old contents is not taken for part of the new ones."""
    source = house.source("disk.img", SIZE)
    elapsed = duration_of_a_transfer(house, source)
    listener, address = house.listen()
    sender = house.send(address, source)
    time.sleep(0.5 * elapsed)
    sender.kill()
    sender.wait()
    source.write_bytes(house.random.randbytes(SIZE // 2) + source.read_bytes()[SIZE // 2:])
    house.sent(address, source)
    listener.kill(signal.SIGTERM)
    listener.wait()
    newest = max((path for path in house.inbox.iterdir() if path.is_file()), key=lambda path: path.stat().st_mtime)
    assert_same(source, newest)


TESTS = [a_killed_sender_resumes, a_killed_receiver_resumes, both_killed_resume,
         an_interrupted_sender_says_so_and_resumes, a_changed_source_is_not_glued_to_the_old_part]
