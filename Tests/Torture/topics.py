"""Publish and subscribe with whole processes (issue 12): who gets what, in which order, and what is left when some die."""

import os
import signal
import subprocess
import time

from nodes import DATA, OK, PATIENCE, PERMISSION, TRY_AGAIN, Node

TOPIC = "alerts"


def subscriber(house, home, *arguments, peers=(), finds=False):
    """A subscriber that is ready, and its address. It knows nobody but `peers`, unless it finds members by itself."""
    known = [word for address in peers for word in ("--peer", address)]
    node = house.start(home, "subscribe", "--realm-key", house.realm_key, "--ephemeral", "--listen", "127.0.0.1:0",
                       *known, *arguments, TOPIC, finds=finds)
    return node, node.until("listening")["addresses"][0]


def everybody(house, count, *arguments):
    """Subscribers that are all connected with each other."""
    nodes, addresses = [], []
    for number in range(count):
        node, address = subscriber(house, f"subscriber-{number}", *arguments, peers=addresses)
        nodes.append(node)
        addresses.append(address)
    return nodes, addresses


def are_connected(nodes, count):
    """Waits until each of them, started with -v, has told of as many others."""
    for node in nodes:
        for _ in range(count):
            node.until("peer")


def publish(house, addresses, *arguments, stdin=None, topic=TOPIC, timeout="30s", finds=False):
    known = [word for address in addresses for word in ("--peer", address)]
    return house.start("publisher", "publish", "--realm-key", house.realm_key, "--ephemeral", "--timeout", timeout,
                       *known, topic, *arguments, stdin=stdin, finds=finds)


def messages(node, count, timeout=PATIENCE):
    return [node.until("message", timeout) for _ in range(count)]


def three_processes_hear_of_one_message(house):
    nodes, addresses = everybody(house, 2)
    sender = publish(house, addresses, "--wait-peers", "2", "disk full")
    assert sender.wait() == OK, sender.text()
    result = sender.result()
    assert result["peers"] == 2 and result["messages"] == 1 and len(result["message_ids"]) == 1, result
    for node in nodes:
        event = messages(node, 1)[0]
        assert event["text"] == "disk full" and event["topic"] == TOPIC, event
        assert event["from"] == sender.seen[0]["node_id"], event
        node.kill(signal.SIGTERM)
        assert node.wait() == OK and node.result()["messages"] == 1


def whoever_is_connected_with_one_of_them_reaches_all(house):
    """A star: nobody but the one in the middle is connected with the publisher."""
    middle, address = subscriber(house, "middle", "-v")
    outer = [subscriber(house, f"outer-{number}", peers=[address])[0] for number in range(3)]
    are_connected([middle], len(outer))
    read, write = os.pipe()
    sender = publish(house, [address], "--lines", stdin=read)
    os.close(read)
    # A subscriber that comes now is in the mesh before the next line.
    time.sleep(3)
    os.write(write, b"one\ntwo\nthree\n")
    os.close(write)
    assert sender.wait() == OK, sender.text()
    for node in [middle, *outer]:
        assert [event["text"] for event in messages(node, 3)] == ["one", "two", "three"], node.seen


def eight_processes_get_every_line_in_order(house):
    nodes, addresses = everybody(house, 7)
    lines = 2_000
    read, write = os.pipe()
    sender = publish(house, addresses, "--wait-peers", "7", "--lines", "-", stdin=read)
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        for number in range(lines):
            pipe.write(f"{number:06}" + "x" * 1018 + "\n")
    assert sender.wait() == OK, sender.text()
    assert sender.result()["messages"] == lines and sender.result()["peers"] == 7, sender.result()
    for node in nodes:
        assert [int(event["text"][:6]) for event in messages(node, lines)] == list(range(lines))
        assert not [event for event in node.seen if event["type"] in ("gap", "dropped")]


def two_of_eight_are_killed_and_the_others_lack_nothing(house):
    """Two come to the author while its messages are under way, and get those before through others."""
    nodes, addresses = everybody(house, 7, "-v")
    lines = 1_000
    # All are connected with each other before the first line, and have told each other what they listen to.
    are_connected(nodes, 6)
    time.sleep(1)
    read, write = os.pipe()
    sender = publish(house, addresses, "--wait-peers", "5", "--lines", stdin=read)
    os.close(read)
    with os.fdopen(write, "wb", buffering=0) as pipe:
        for number in range(lines):
            pipe.write(b"%06d" % number + b"y" * 1018 + b"\n")
            if number == lines // 3:
                nodes[6].kill()
            if number == lines // 2:
                nodes[2].kill()
    sender.wait()
    for node in nodes[:2] + nodes[3:6]:
        assert [int(event["text"][:6]) for event in messages(node, lines)] == list(range(lines))


def members_of_one_host_find_each_other_with_the_realm_key_alone(house):
    nodes = [subscriber(house, f"subscriber-{number}", finds=True)[0] for number in range(3)]
    sender = publish(house, [], "--wait-peers", "3", "here", finds=True)
    assert sender.wait() == OK, sender.text()
    for node in nodes:
        assert messages(node, 1)[0]["text"] == "here"
    other = house.folder / "other.key"
    assert house.run("realm-key", "-o", other).returncode == OK
    stranger = house.start("stranger", "publish", "--realm-key", other, "--ephemeral", "--timeout", "3s", TOPIC, "hello",
                           finds=True)
    assert stranger.wait() == TRY_AGAIN, stranger.seen


def a_message_is_the_bytes_that_it_is(house):
    node, address = subscriber(house, "receiver", "--count", "2")
    binary = bytes(range(256)) * 4096
    path = house.folder / "binary"
    path.write_bytes(binary)
    with open(path, "rb") as content:
        assert publish(house, [address], "-", stdin=content).wait() == OK
    with open(os.devnull, "rb") as nothing:
        assert publish(house, [address], stdin=nothing).wait() == OK
    import base64
    first, second = messages(node, 2)
    assert base64.b64decode(first["base64"]) == binary
    assert second["text"] == ""
    assert node.wait() == OK


def too_large_a_message_is_published_nowhere(house):
    node, address = subscriber(house, "receiver")
    path = house.folder / "large"
    path.write_bytes(b"x" * (1024 * 1024 + 1))
    with open(path, "rb") as content:
        sender = publish(house, [address], "-", stdin=content)
        assert sender.wait() == DATA and sender.result()["code"] == "tooLarge", sender.seen
    assert not [event for event in node.seen if event["type"] == "message"]


def nobody_listens(house):
    started = time.monotonic()
    alone = publish(house, [], "hello", timeout="1s")
    assert alone.wait() == TRY_AGAIN and alone.result()["code"] == "nobodyListens", alone.seen
    assert alone.result()["messages"] == 0 and time.monotonic() - started < PATIENCE
    _, address = subscriber(house, "receiver")
    other = publish(house, [address], "hello", topic="other", timeout="2s")
    assert other.wait() == TRY_AGAIN and other.result()["code"] == "nobodyListens", other.seen
    few = publish(house, [address], "--wait-peers", "2", "hello", timeout="2s")
    assert few.wait() == TRY_AGAIN, few.seen


def who_is_in_another_realm_hears_nothing(house):
    other = house.folder / "other.key"
    assert house.run("realm-key", "-o", other).returncode == OK
    node, address = subscriber(house, "receiver")
    sender = house.start("stranger", "publish", "--realm-key", other, "--ephemeral", "--timeout", "3s", "--peer",
                         address, TOPIC, "hello")
    assert sender.wait() == TRY_AGAIN, sender.seen
    done = house.run("publish", "--ephemeral", "--peer", address, TOPIC, "hello", home="keyless")
    assert done.returncode == PERMISSION, done.stderr
    assert not [event for event in node.seen if event["type"] == "message"]


def a_subscriber_that_stood_still_gets_what_it_missed(house):
    nodes, addresses = everybody(house, 3)
    read, write = os.pipe()
    sender = publish(house, addresses, "--wait-peers", "2", "--lines", stdin=read)
    os.close(read)
    with os.fdopen(write, "wb", buffering=0) as pipe:
        pipe.write(b"before\n")
        for node in nodes:
            messages(node, 1)
        nodes[2].kill(signal.SIGSTOP)
        for number in range(200):
            pipe.write(b"%d\n" % number)
        for node in nodes[:2]:
            messages(node, 200)
        # Longer than its connections live without a word of it.
        time.sleep(15)
        nodes[2].kill(signal.SIGCONT)
        assert [event["text"] for event in messages(nodes[2], 200)] == [str(number) for number in range(200)]
    assert sender.wait() == OK, sender.text()


TESTS = [
    three_processes_hear_of_one_message,
    whoever_is_connected_with_one_of_them_reaches_all,
    eight_processes_get_every_line_in_order,
    two_of_eight_are_killed_and_the_others_lack_nothing,
    members_of_one_host_find_each_other_with_the_realm_key_alone,
    a_message_is_the_bytes_that_it_is,
    too_large_a_message_is_published_nowhere,
    nobody_listens,
    who_is_in_another_realm_hears_nothing,
    a_subscriber_that_stood_still_gets_what_it_missed,
]
