"""What is refused: wrong keys, wrong names, full disks, taken ports, nobody there."""

import os
import re
import signal
import socket
import subprocess
import time

from nodes import (
    CANNOT_CREATE, DATA, IO_ERROR, NO_INPUT, OK, OS_ERROR, PERMISSION, PROTOCOL, TRY_AGAIN, UNAVAILABLE, UNKNOWN, USAGE,
    assert_same, need_root, port_of)

NODE_ID = re.compile(r"12D3KooW[1-9A-HJ-NP-Za-km-z]{44}")


def ended(node, *statuses):
    status = node.wait()
    assert status in statuses, f"{node} ended with {status}, not {statuses}: {node.text()}"
    assert "error:" in node.text(), f"{node}: no error line: {node.text()}"
    return node.result()


def inbox_is_empty(house):
    assert not os.listdir(house.inbox), os.listdir(house.inbox)


def another_realm_and_no_realm_are_refused_alike(house):
    other = house.folder / "other.key"
    house.run("realm-key", "-o", other)
    source = house.source("secret.txt", 1000)
    listener, address = house.listen()
    refused = house.send(address, source, realm_key=other)
    first = ended(refused, PERMISSION)
    message = house.send(address, "-m", "hello", realm_key=other, home="stranger")
    ended(message, PERMISSION)
    without = house.start("stranger", "send", "--to", address, "-m", "hello")
    second = ended(without, PERMISSION)
    assert first["code"], first
    assert second["code"] == "notMember", second
    assert "hint:" in without.text(), without.text()
    inbox_is_empty(house)
    # The refusals did the listener no harm.
    house.sent(address, source)
    assert_same(source, house.inbox / source.name)
    listener.kill(signal.SIGTERM)
    assert listener.wait() == OK


def a_wrong_node_id_names_both(house):
    stranger = house.run("keygen", "-o", house.folder / "stranger.pem", home="stranger")
    shown = house.run("keygen", "--show", house.folder / "stranger.pem", home="stranger")
    text = (stranger.stdout + stranger.stderr + shown.stdout + shown.stderr).decode()
    wrong = NODE_ID.search(text).group()
    _, address = house.listen()
    base, right = address.rsplit("/", 1)
    sender = house.send(f"{base}/{wrong}", "-m", "hello")
    ended(sender, DATA, UNKNOWN, UNAVAILABLE, PROTOCOL, PERMISSION)
    assert wrong in sender.text() and right in sender.text(), sender.text()


def only_those_allowed_may_send(house):
    allowed = NODE_ID.search(house.run("keygen", "-o", house.folder / "a.pem", "--json").stdout.decode()).group()
    source = house.source("a.txt", 5000)
    _, address = house.listen("--allow", allowed)
    ended(house.send(address, source, home="stranger"), PERMISSION)
    inbox_is_empty(house)
    house.sent(address, "--identity", house.folder / "a.pem", source)
    assert_same(source, house.inbox / source.name)


def larger_than_allowed_is_refused_before_a_byte(house):
    source = house.source("large.bin", 3 * 1024 * 1024)
    _, address = house.listen("--max-size", "1MiB")
    sender = house.send(address, source)
    ended(sender, UNAVAILABLE, IO_ERROR, PERMISSION, DATA)
    inbox_is_empty(house)


def a_taken_port_is_an_error_at_once(house):
    _, address = house.listen()
    second = house.start("second", "listen", "--realm-key", house.realm_key, "-o", house.inbox, "--listen",
                         f"127.0.0.1:{port_of(address)}")
    ended(second, UNAVAILABLE, OS_ERROR)
    assert str(port_of(address)) in second.text(), second.text()


def nobody_there_ends_with_the_attempts(house):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shown = house.run("keygen", "-o", house.folder / "x.pem", "--json").stdout.decode()
    address = f"/ip4/127.0.0.1/udp/{port}/quic-v1/p2p/{NODE_ID.search(shown).group()}"
    result = ended(house.send(address, "--timeout", "5s", "-m", "hello"), UNAVAILABLE, TRY_AGAIN)
    assert result["attempts"], result
    assert {"stage", "address", "elapsed_ms", "outcome"} <= set(result["attempts"][0]), result


def bad_arguments_change_nothing(house):
    _, address = house.listen()
    missing = house.folder / "not-there"
    ended(house.send(address, missing), NO_INPUT)
    for arguments, statuses in (
            (("send", "--to", "not-an-id", "-m", "x"), (USAGE, DATA)),
            (("send", "--to", address), (USAGE,)),
            (("send", "--no-such-option"), (USAGE,)),
            (("listen", "-o", "/proc/nowhere"), (CANNOT_CREATE,)),
            (("ping", "/ip4/127.0.0.1/udp/99999/quic-v1"), (USAGE, DATA))):
        done = house.run(*arguments, "--realm-key", house.realm_key)
        assert done.returncode in statuses, f"{arguments}: {done.returncode} {done.stderr}"
        assert done.stderr.startswith(b"dep2p: error: "), done.stderr
    inbox_is_empty(house)


def a_full_disk_is_an_error_and_leaves_nothing(house):
    """Known sizes are refused before a byte; a stream of unknown size fails in the middle."""
    small = house.folder / "small"
    small.mkdir()
    need_root("mounts a tmpfs of 16 MiB")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", small], check=True)
    try:
        _, address = house.listen(inbox=small)
        source = house.source("large.bin", 40 * 1024 * 1024)
        # Refused by the receiver for lack of room: the receiver's state, not the sender's.
        ended(house.send(address, source), UNAVAILABLE, CANNOT_CREATE, IO_ERROR, TRY_AGAIN, PERMISSION)
        assert not any(path.stat().st_size for path in small.rglob("*") if path.is_file())
        with open(source, "rb") as stream:
            ended(house.send(address, "-", stdin=stream), UNAVAILABLE, CANNOT_CREATE, IO_ERROR, TRY_AGAIN)
        whole = [path for path in small.iterdir() if path.is_file() and path.stat().st_size == 40 * 1024 * 1024]
        assert not whole, whole
        for path in list(small.rglob("*")):
            if path.is_file():
                path.unlink()
        little = house.source("little.bin", 1024 * 1024)
        house.sent(address, little)
        assert_same(little, small / little.name)
    finally:
        house.close()
        subprocess.run(["umount", small], check=True)


def a_listener_that_takes_no_files_refuses_them(house):
    listener = house.start("receiver", "listen", "--realm-key", house.realm_key, "--listen", "127.0.0.1:0")
    address = listener.until("listening")["addresses"][0]
    sender = house.send(address, house.source("file", 1000))
    result = ended(sender, PERMISSION)
    assert result["code"] == "refused" and "takes no files" in sender.text(), sender.text()


def an_echo_that_comes_late_is_no_violation(house):
    listener, address = house.listen()
    ping = house.start("sender", "ping", address, "-c", "4", "-i", "1s", "--timeout", "1s")
    ping.until("reply")
    listener.kill(signal.SIGSTOP)
    time.sleep(2.5)
    listener.kill(signal.SIGCONT)
    ping.until("reply")
    assert ping.wait() == OK, ping.text()
    assert ping.result()["sent"] == 4 and "protocol" not in ping.text(), ping.text()


TESTS = [another_realm_and_no_realm_are_refused_alike, a_wrong_node_id_names_both, only_those_allowed_may_send,
         larger_than_allowed_is_refused_before_a_byte, a_taken_port_is_an_error_at_once,
         nobody_there_ends_with_the_attempts, bad_arguments_change_nothing, a_full_disk_is_an_error_and_leaves_nothing,
         a_listener_that_takes_no_files_refuses_them, an_echo_that_comes_late_is_no_violation]
