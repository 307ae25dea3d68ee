"""Nodes that stay up: start and its kin, their identity's lock, signals, configuration and service manager (issue 10.1-10.3)."""

import os
import pathlib
import pty
import signal
import socket
import subprocess
import time

from field import preloaded
from nodes import OK, PATIENCE, PERMISSION, TRY_AGAIN, OS_ERROR, Node, assert_same, need_root
from relayed import ServiceManager, says

CONFIGURATION = 78


def start(house, *arguments, home="receiver", environment=None):
    node = Node([house.binary, "start", "--json", "--listen", "127.0.0.1:0", *map(os.fsdecode, arguments)],
                (environment or {}) | house.environment(home))
    house.nodes.append(node)
    return node


def start_receives_and_ends_with_zero(house):
    source = house.source("file.bin", 100_000)
    for number in (signal.SIGTERM, signal.SIGINT):
        node = start(house, "--realm-key", house.realm_key, "-o", house.inbox, "--reply", "noted")
        listening = node.until("listening")
        own = f"/p2p/{listening['node_id']}"
        assert listening["addresses"] and all(address.endswith(own) for address in listening["addresses"]), listening
        sent = house.sent(listening["addresses"][0], source)
        assert_same(source, house.inbox / source.name)
        (house.inbox / source.name).unlink()
        assert node.until("member")["state"] == "joined"
        assert house.sent(listening["addresses"][0], "-m", "hello")["reply"] == "noted", sent
        assert node.until("message")["text"] == "hello"
        while node.until("peer")["state"] != "offline":
            pass
        node.kill(number)
        assert node.wait() == OK, node.text()
        assert node.result()["messages"] == 1 and node.result()["files"] == 1, node.result()


def start_in_no_realm_is_pinged_and_sent_nothing(house):
    node = start(house)
    address = node.until("listening")["addresses"][0]
    assert house.run("ping", "-c", "1", address).returncode == OK
    sender = house.send(address, "-m", "hello")
    assert sender.wait() != OK, sender.result()
    node.kill(signal.SIGTERM)
    assert node.wait() == OK, node.text()


def a_second_signal_ends_it_at_once(house):
    """The first waits for what is under way."""
    node = start(house, "--realm-key", house.realm_key, "-o", house.inbox)
    address = node.until("listening")["addresses"][0]
    reading, writing = os.pipe()
    sender = house.send(address, "-", stdin=reading)
    node.until("offer")
    node.kill(signal.SIGTERM)
    # What comes twice within 200 ms is one wish (timeout(1) signals a process and its group).
    time.sleep(0.4)
    node.kill(signal.SIGTERM)
    assert node.wait() == -signal.SIGTERM, (node.child.returncode, node.text())
    os.close(reading)
    os.close(writing)
    sender.kill()


def the_usual_port_is_the_same_each_time_and_a_taken_one_is_told(house):
    need_root("makes a network namespace, where the port is free")
    holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up; echo ready; exec sleep 600"],
                              stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"ready\n"
        inside = ["nsenter", "-t", str(holder.pid), "-n", house.binary]
        node = Node([*inside, "start", "--json"], house.environment("one"))
        house.nodes.append(node)
        addresses = node.until("listening")["addresses"]
        assert addresses and all("/udp/4001/" in address for address in addresses), addresses
        for command in ("start", "relay"):
            second = Node([*inside, command, "--json"], house.environment("two"))
            assert second.wait() == OS_ERROR, second.text()
            result = second.result()
            assert result["code"] == "addressInUse" and "4001" in result["message"], result
            assert "--listen" in result["hint"], result
    finally:
        holder.kill()
        holder.wait()


def a_second_daemon_of_one_identity_is_told_who_has_it(house):
    node = start(house)
    address = node.until("listening")["addresses"][0]
    for command in (["start"], ["relay"], ["listen", "--realm-key", house.realm_key],
                    ["listen", "--once", "--realm-key", house.realm_key]):
        second = house.start("receiver", *command, "--listen", "127.0.0.1:0")
        assert second.wait() == TRY_AGAIN, (command, second.child.returncode, second.text())
        result = second.result()
        assert result["code"] == "identityInUse", result
        assert (result["pid"], result["holder"]) == (node.child.pid, "start"), result
        assert str(node.child.pid) in second.text() and "--ephemeral" in result["hint"], second.text()
    # Commands that only go out run beside it, and daemons with another identity do.
    other = house.start("receiver", "listen", "--ephemeral", "--realm-key", house.realm_key, "--listen", "127.0.0.1:0")
    beside = other.until("listening")["addresses"][0]
    house.sent(beside, "-m", "from the identity that is in use", home="receiver")
    assert house.run("ping", "-c", "1", beside, home="receiver").returncode == OK
    assert house.run("ping", "-c", "1", address, home="sender").returncode == OK
    # However it ends, it has ended.
    node.kill(signal.SIGKILL)
    start(house).until("listening")


def one_after_the_other_never_waits_for_the_dead(house):
    """kill -9, and the next at once: each has the identity."""
    for _ in range(8):
        node = start(house)
        node.until("listening")
        node.kill(signal.SIGKILL)


def where_there_are_no_locks_daemons_run_all_the_same(house):
    state = house.environment("receiver")["HOME"]
    for lacks in ("flock", "flock-enosys"):
        nodes = [start(house, environment=preloaded(house, lacks, state)) for _ in range(2)]
        for node in nodes:
            node.until("listening")
        for node in nodes:
            node.kill(signal.SIGTERM)
            assert node.wait() == OK, node.text()


def what_lies_where_the_lock_would_is_no_obstacle(house):
    state = house.folder / "state"
    state.mkdir()
    node = start(house, "--state-dir", state)
    lock = state / f"{node.until('listening')['node_id']}.lock"
    assert lock.read_text() == f"{node.child.pid} start\n", lock.read_text()
    assert lock.stat().st_mode & 0o777 == 0o600
    node.kill(signal.SIGTERM)
    assert node.wait() == OK
    elsewhere = house.folder / "elsewhere"
    elsewhere.write_text("kept")
    for make in (lambda: lock.symlink_to(elsewhere), lambda: lock.mkdir(), lambda: os.mkfifo(lock),
                 lambda: lock.write_text("x" * 100_000)):
        if lock.is_dir() and not lock.is_symlink():
            lock.rmdir()
        else:
            lock.unlink()
        make()
        node = start(house, "--state-dir", state)
        node.until("listening")
        node.kill(signal.SIGTERM)
        assert node.wait() == OK, node.text()
    assert elsewhere.read_text() == "kept"


def configured(house, text):
    path = house.folder / "config"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def sighup_takes_what_can_change_and_names_the_rest(house):
    stranger = house.run("keygen", "-o", house.folder / "a.pem").stdout.decode().split()[-1]
    config = configured(house, f"allow = {stranger}\n")
    node = start(house, "--realm-key", house.realm_key, "-o", house.inbox, "--config", config)
    address = node.until("listening")["addresses"][0]
    sender = house.send(address, "-m", "not allowed")
    assert sender.wait() != OK
    config.write_text("preset = minimal\n")
    node.kill(signal.SIGHUP)
    reloaded = node.until("reload")
    assert reloaded["ok"] and reloaded["changed"] == ["allow"], reloaded
    assert reloaded["needs_restart"] == ["preset"], reloaded
    house.sent(address, "-m", "allowed now")
    # A mistake changes nothing, wherever it stands.
    for mistake in (f"allow = {stranger}\nrelay = nonsense\n", f"allow = {stranger}\nalow = x\n", "name.a b = x\n"):
        config.write_text(mistake)
        node.kill(signal.SIGHUP)
        kept = node.until("reload")
        assert not kept["ok"] and "config:" in kept["message"], kept
        house.sent(address, "-m", "still allowed")
    # Who is no longer let in is put out in the middle of what he sends.
    reading, writing = os.pipe()
    sender = house.send(address, "-", stdin=reading)
    while node.until("offer")["accepted"] is not True:
        pass
    config.write_text(f"allow = {stranger}\n")
    node.kill(signal.SIGHUP)
    assert node.until("reload")["changed"] == ["allow"]
    assert sender.wait() != OK and "does not receive from you" in sender.text(), sender.text()
    os.close(reading)
    os.close(writing)
    config.write_text("")
    node.kill(signal.SIGHUP)
    assert node.until("reload")["changed"] == ["allow"]
    # What is no file any more, or gone, holds nothing up.
    config.unlink()
    os.mkfifo(config)
    node.kill(signal.SIGHUP)
    assert not node.until("reload")["ok"]
    config.unlink()
    node.kill(signal.SIGHUP)
    assert not node.until("reload")["ok"]
    house.sent(address, "-m", "and still")
    # The usual file, which need not be there, is missed too when it was.
    usual = pathlib.Path(house.environment("other")["HOME"]) / ".config" / "dep2p" / "config"
    usual.parent.mkdir(parents=True)
    usual.write_text(f"allow = {stranger}\n")
    other = start(house, home="other")
    other.until("listening")
    usual.unlink()
    other.kill(signal.SIGHUP)
    kept = other.until("reload")
    assert not kept["ok"] and "gone" in kept["message"], kept
    node.kill(signal.SIGTERM)
    assert node.wait() == OK, node.text()


def start_speaks_to_its_service_manager(house):
    for name in (str(house.folder / "notify"), f"\0dep2p-{os.getpid()}"):
        manager = ServiceManager.__new__(ServiceManager)
        manager.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.socket.bind(name)
        manager.socket.settimeout(PATIENCE)
        node = start(house, "--realm-key", house.realm_key, "-o", house.inbox,
                     environment={"NOTIFY_SOCKET": name.replace("\0", "@"), "WATCHDOG_USEC": "200000"})
        listening = node.until("listening")
        ready = manager.next()
        assert ready[0] == "READY=1" and listening["node_id"] in ready[1], ready
        assert manager.next() == ["WATCHDOG=1"]
        house.sent(listening["addresses"][0], "-m", "hello")
        told = manager.next()
        while "1 member here" not in told[0]:
            told = manager.next()
        node.kill(signal.SIGHUP)
        told = skipping_signs_of_life(manager)
        assert told[0] == "RELOADING=1" and told[1].startswith("MONOTONIC_USEC="), told
        assert skipping_signs_of_life(manager) == ["READY=1"]
        node.kill(signal.SIGTERM)
        assert skipping_signs_of_life(manager) == ["STOPPING=1"]
        assert node.wait() == OK, node.text()
        manager.socket.close()


def skipping_signs_of_life(manager):
    while True:
        told = manager.next()
        if told != ["WATCHDOG=1"] and not told[0].startswith("STATUS="):
            return told


def a_manager_that_is_not_there_is_no_obstacle(house):
    gone = str(house.folder / "gone")
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).bind(gone)
    for name in (gone, "/nowhere/notify", "@" + "x" * 400, "/" + "x" * 400, "@", "relative", "vsock:2:1", "/"):
        node = start(house, environment={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000"})
        node.until("listening")
        node.kill(signal.SIGTERM)
        assert node.wait() == OK, (name, node.text())


def a_configuration_that_is_none_is_told(house):
    """Each is an error of the configuration, with its place, and none hangs."""
    huge = house.folder / "huge"
    with open(huge, "wb") as file:
        file.truncate(1 << 30)
    pipe = house.folder / "pipe"
    os.mkfifo(pipe)
    for path, words in ((huge, "more than"), (pipe, "in time"), (house.folder, "directory"), ("/dev/zero", "more than"),
                        (house.realm_key / "below", "Not a directory")):
        done = house.run("start", "--print-config", "--config", path)
        assert done.returncode == CONFIGURATION and words in done.stderr.decode(), (path, done)
    for text, words in (("preset = server\0\n", ":1: a control character"), ("identity = a\0b\n", "control character"),
                        ("\n\nname.a\x1b[2J = x\n", ":3: a control character"), ("preset = server\rlisten = :1\n", ":1:"),
                        ("preset = server\npreset = mobile\n", ":2: preset stands on line 1 already"),
                        ("preset = server\n".encode("utf-16"), "UTF-16"), ("name.--to = x\n", "can't be a name"),
                        ("name.-c = 127.0.0.1:1\n", "can't be a name"), ("name. = 127.0.0.1:1\n", "can't be a name"),
                        ("nmae.laptop = 127.0.0.1:1\n", "did you mean name.laptop?"),
                        ("name.a = 127.0.0.1:1\nname.a = 127.0.0.1:2\n", "already"), ("name.a = nonsense\n", ":1: name.a"),
                        ("Listen = :1\n", "did you mean listen?"), ("preset = sever\n", "did you mean server?")):
        done = house.run("start", "--print-config", "--config", configured(house, text))
        assert done.returncode == CONFIGURATION and words in done.stderr.decode(), (text, done)
        assert b"\x1b" not in done.stderr, done.stderr
    # These are all right.
    for text in ("\ufeffpreset = server\n", "preset = server\r\n\r\n# x\r\n", "preset = server", "\n" * 1000, ""):
        done = house.run("start", "--print-config", "--config", configured(house, text))
        assert done.returncode == OK, (text, done)
    # A pipe with somebody at its other end is as good as a file.
    writer = subprocess.Popen(["sh", "-c", 'sleep 1; echo preset = server > "$0"', pipe])
    done = house.run("start", "--print-config", "--config", pipe)
    writer.wait()
    assert done.returncode == OK and b"server" in done.stdout, done


def a_name_stands_wherever_a_node_does(house):
    listener, address = house.listen()
    node_id = address.rsplit("/", 1)[-1]
    folder = pathlib.Path(house.environment("sender")["HOME"]) / ".config" / "dep2p"
    folder.mkdir(parents=True)
    bare = address.rsplit("/p2p/", 1)[0]
    (folder / "config").write_text(f"name.inbox = {address}\nname.it = {node_id}\nname.nobody = {bare}\n")
    for target in ("inbox", "it"):
        house.sent(target, "-m", "hello")
    for target in ("inbox", "it", "nobody"):
        assert house.run("ping", "-c", "1", target).returncode == OK, target
    assert house.run("ping", "-c", "1", "--peer", "inbox", node_id).returncode == OK
    for arguments, words in ((("send", "--to", "inbxo", "-m", "x"), "did you mean the name inbox?"),
                             (("send", "--to", "nobody", "-m", "x"), "names no node"),
                             (("ping", "--peer", "it", node_id), "stands for a NodeID"),
                             (("ping", "--relay", "nobody", node_id), "names no node")):
        done = house.run(*arguments)
        assert done.returncode not in (OK, 70) and words in done.stderr.decode(), (arguments, done)
    # As the one who may send.
    kept = start(house, "--realm-key", house.realm_key, "-o", house.inbox, "--allow", "it", home="sender")
    refused = house.send(kept.until("listening")["addresses"][0], "-m", "x", home="stranger")
    assert refused.wait() != OK
    house.sent(kept.seen[1]["addresses"][0], "-m", "x", home="receiver")
    listener.kill()


def sighup_moves_to_another_realm(house):
    """A new key puts out who has the old one."""
    key = house.folder / "moving.key"
    key.write_bytes(house.realm_key.read_bytes())
    key.chmod(0o600)
    node = start(house, "--realm-key", key, "-o", house.inbox)
    address = node.until("listening")["addresses"][0]
    house.sent(address, "-m", "to the first realm")
    other = house.folder / "other.key"
    assert house.run("realm-key", "-o", other).returncode == OK
    key.write_bytes(other.read_bytes())
    node.kill(signal.SIGHUP)
    assert node.until("reload")["changed"] == ["realm-key"]
    assert house.send(address, "-m", "too late").wait() == PERMISSION
    house.sent(address, "-m", "to the second realm", realm_key=other)
    # A key that is none changes nothing.
    key.write_text("nonsense")
    node.kill(signal.SIGHUP)
    assert not node.until("reload")["ok"]
    house.sent(address, "-m", "to the second realm still", realm_key=other)
    node.kill(signal.SIGTERM)
    assert node.wait() == OK and node.result()["messages"] == 3, node.result()


def a_closed_terminal_ends_it_and_a_signal_does_not(house):
    """SIGHUP is for daemons to read their configuration, and for terminals to say that they are gone."""
    for closes in (True, False):
        ready = house.folder / f"ready-{closes}"
        child, master = pty.fork()
        if child == 0:
            with open(ready, "wb") as file:
                os.dup2(file.fileno(), 1)
            os.execve(house.binary, ["dep2p", "start", "--json", "--listen", "127.0.0.1:0"], house.environment("receiver"))
        try:
            deadline = time.monotonic() + PATIENCE
            while not ready.exists() or b"listening" not in ready.read_bytes():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            if closes:
                os.close(master)
            else:
                os.kill(child, signal.SIGHUP)
                while b'"reload"' not in ready.read_bytes():
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
                os.kill(child, signal.SIGTERM)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == OK, status
            child = None
        finally:
            if child:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def a_variable_that_is_nearly_a_setting_is_told(house):
    environment = house.environment("sender")
    for name, words in (("DEP2P_LISEN", b"did you mean DEP2P_LISTEN?"), ("DEP2P_SEED", b""), ("OTHER_LISEN", b"")):
        done = subprocess.run([house.binary, "start", "--print-config"], env=environment | {name: "x"}, capture_output=True)
        assert done.returncode == OK and (words in done.stderr if words else not done.stderr), (name, done)


def an_empty_list_of_who_may_send_is_not_everybody(house):
    for value in ("", ",", ",,"):
        done = subprocess.run([house.binary, "start", "--print-config"], capture_output=True,
                              env=house.environment("sender") | {"DEP2P_ALLOW": value})
        assert done.returncode == CONFIGURATION and b"DEP2P_ALLOW" in done.stderr, (value, done)
    done = house.run("start", "--print-config", "--config", configured(house, "allow =\n"))
    assert done.returncode == CONFIGURATION, done
    done = house.run("start", "--config", "-", "--realm-key", "-")
    assert done.returncode == 64 and b"standard input" in done.stderr, done


TESTS = [
    start_receives_and_ends_with_zero, start_in_no_realm_is_pinged_and_sent_nothing, a_second_signal_ends_it_at_once,
    the_usual_port_is_the_same_each_time_and_a_taken_one_is_told, a_second_daemon_of_one_identity_is_told_who_has_it,
    one_after_the_other_never_waits_for_the_dead, where_there_are_no_locks_daemons_run_all_the_same,
    what_lies_where_the_lock_would_is_no_obstacle, sighup_moves_to_another_realm,
    a_closed_terminal_ends_it_and_a_signal_does_not, a_variable_that_is_nearly_a_setting_is_told,
    an_empty_list_of_who_may_send_is_not_everybody, sighup_takes_what_can_change_and_names_the_rest,
    start_speaks_to_its_service_manager, a_manager_that_is_not_there_is_no_obstacle, a_configuration_that_is_none_is_told,
    a_name_stands_wherever_a_node_does,
]
