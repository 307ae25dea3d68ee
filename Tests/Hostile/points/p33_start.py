"""Third review: settings that change under a node which is being attacked."""

import signal

from hostile import app, relaying
from hostile.identity import Identity
from hostile.node import assert_alive, resident
from hostile.wire import fields

STORM = 60
SHUT = 0xD006


def start(lab, config, *arguments):
    return lab._ready(lab.house.start(
        "receiver", "start", "--realm-key", lab.house.realm_key, "--no-port-mapping", "--listen", "127.0.0.1:0",
        "--config", config, "-o", lab.house.inbox, *arguments))


def configured(lab, text):
    path = lab.house.folder / "config"
    path.write_text(text)
    return path


def reload(lab, node, count=1):
    """Has the node read its settings anew, and waits until it has."""
    before = sum(event.get("type") == "reload" for event in node.seen)
    node.kill(signal.SIGHUP)
    lab.loop.until(lambda: sum(event.get("type") == "reload" for event in node.seen) >= before + count, 10, "a reload")


def busy(lab, node, identity=None):
    """A member in the midst of everything that a member may do."""
    peer = lab.member(node, identity, source="127.0.0.2")
    transfer = peer.open(app.TRANSFER, app.offer([app.entry("half", app.BLOCK)], total=app.BLOCK))
    transfer.wait_frames(1)
    transfer.write(app.start(0) + app.data(b"x" * 100))
    body = peer.open(app.MESSAGING, app.request(1_000) + b"x" * 10)
    waiting = peer.open(app.TRANSFER)
    ping = peer.open("/ipfs/ping/1.0.0", bytes(32))
    lab.loop.pump(0.2)
    assert not peer.closed and not transfer.ended
    return peer, [transfer, body, waiting, ping]


def p33_who_is_left_out_is_out(lab):
    """Who is no longer let in, in the midst of all that there is, has no connection any more and gets none."""
    config = configured(lab, "")
    node = start(lab, config)
    peer, _ = busy(lab, node)
    friend = Identity()
    kept = lab.member(node, friend, source="127.0.0.3")
    config.write_text(f"allow = {friend}\n")
    reload(lab, node)
    lab.loop.until(lambda: peer.closed, 5, "the end of the connection")
    assert peer.closed[1] == SHUT, f"it ended with {peer.closed}"
    again = lab.client(node, peer.identity, source="127.0.0.2")
    lab.loop.until(lambda: again.closed, 5, "the end of another connection")
    assert again.closed[1] == SHUT and kept.ping(), f"{again.closed}, {kept.closed}"
    # Nothing stands under its name.
    assert not [one for one in lab.house.inbox.iterdir() if one.name == "half"], "half a file is there"
    # Half of a message that was under way counts for nothing when it is let in again.
    config.write_text("")
    reload(lab, node)
    assert lab.message(node.address, "again") == 0
    assert_alive(node)


def p33_a_storm_of_reloads(lab):
    """Settings that change all the time, with members, strangers and streams of every kind: nobody is forgotten, and
    the last settings hold."""
    friend = Identity()
    config = configured(lab, "")
    node = start(lab, config)
    reload(lab, node)
    before = resident(node)
    texts = ["", f"allow = {friend}\n", "nonsense\n", f"name.it = {friend}\nallow = it\n", "preset = minimal\n",
             "allow = nobody\n"]
    ended = 0
    for number in range(STORM):
        config.write_text(texts[number % len(texts)])
        node.kill(signal.SIGHUP)
        peer = lab.client(node, source=f"127.0.{number % 40}.2")
        if not peer.closed:
            peer.open(app.TRANSFER, app.offer([app.entry("half", 9)], total=9))
            peer.open("/dep2p/realm/admission/1.0.0", b"")
            relaying.ask_circuit(peer, friend.node_id)
        lab.loop.pump(0.02)
        ended += bool(peer.closed)
    assert_alive(node)
    config.write_text(f"allow = {friend}\n")
    reload(lab, node)
    lab.loop.pump(0.3)
    outsider = lab.client(node, source="127.0.99.2")
    lab.loop.until(lambda: outsider.closed, 5, "the end of who is left out")
    member = lab.member(node, friend, source="127.0.0.3")
    answer = app.message(member, b"let in").wait(lambda one: one.ended, 10, "an answer")
    assert answer.frames and app.HANDLER_FAILED not in fields(answer.frames[0]), "who is let in is not served"
    grown = resident(node) - before
    assert grown < 24 << 20, f"{STORM} reloads cost {grown >> 20} MiB"


def p33_the_realm_changes_under_members(lab):
    """Members of the realm that was left are none in the next, whatever they have open."""
    key = lab.house.folder / "moving.key"
    key.write_bytes(lab.house.realm_key.read_bytes())
    key.chmod(0o600)
    config = configured(lab, f"realm-key = {key}\n")
    node = lab._ready(lab.house.start("receiver", "start", "--no-port-mapping", "--listen", "127.0.0.1:0", "--config", config,
                                      "-o", lab.house.inbox))
    peer, streams = busy(lab, node)
    other = lab.house.folder / "other.key"
    assert lab.house.run("realm-key", "-o", other).returncode == 0
    key.write_bytes(other.read_bytes())
    reload(lab, node)
    lab.loop.until(lambda: peer.closed, 5, "the end of a member of the realm before")
    again = lab.client(node, peer.identity, source="127.0.0.2")
    assert not again.closed and not again.admit(lab.realm), "the old key is taken"
    message = app.message(again, b"without the key")
    message.wait(lambda one: one.ended, 12, "an end")
    assert message.reset_code is not None, "a message of a member of the realm before was taken"
    assert_alive(node)
