"""What a machine lacks, and who reads what is printed: no IPv6, no such interface, secrets by a service manager, a dead
resolver, pipes and terminals that nobody reads (field faults D3, D4, D11, D12, D13, D18, D19 and others of their kinds)."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import stat
import subprocess
import tempfile
import termios
import time

from nodes import (CANNOT_CREATE, NO_INPUT, OK, PATIENCE, PERMISSION, TRY_AGAIN, UNAVAILABLE, need_root)

BROKEN_PIPE = 141
HERE = pathlib.Path(__file__).parent


def until(condition, what, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


def processes(house, home, *arguments, **options):
    child = subprocess.Popen([house.binary, *map(os.fsencode, arguments)], env=house.environment(home),
                             stdin=subprocess.DEVNULL, **options)
    return child


def a_reader_that_leaves_makes_no_failure_a_success(house):
    _, address = house.listen()
    big = house.folder / "big"
    with open(big, "wb") as file:
        file.truncate(3_000_000_000)
    # The reader leaves in the middle of the transfer.
    sender = processes(house, "sender", "send", "--json", "--realm-key", house.realm_key, "--to", address, big,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    sender.stdout.readline()
    sender.stdout.close()
    status = sender.wait(PATIENCE)
    words = sender.stderr.read().decode()
    sender.stderr.close()
    arrived = house.inbox / "big"
    assert status == BROKEN_PIPE or (status == OK and arrived.exists() and arrived.stat().st_size == 3_000_000_000), status
    assert "error" not in words, words
    # The reader is gone from the start: each failure keeps its status.
    for expected, arguments in [
        (NO_INPUT, ["send", "--json", "--realm-key", house.realm_key, "--to", address, house.folder / "missing"]),
        (64, ["send", "--json", "--no-such-option"]),
        (NO_INPUT, ["realm-key", "--json", "--show", house.folder / "missing"]),
    ]:
        reader, writer = os.pipe()
        os.close(reader)
        child = processes(house, "sender", *arguments, stdout=writer, stderr=subprocess.DEVNULL)
        os.close(writer)
        status = child.wait(PATIENCE)
        assert status == expected, (arguments, status)


def what_was_delivered_is_a_success_whoever_reads(house):
    _, address = house.listen()
    source = house.source("small", 1000)
    reader, writer = os.pipe()
    os.close(reader)
    child = processes(house, "sender", "send", "-q", "--realm-key", house.realm_key, "--to", address, source,
                      stdout=writer, stderr=subprocess.DEVNULL)
    os.close(writer)
    assert child.wait(PATIENCE) == OK
    until(lambda: (house.inbox / "small").exists(), "the file")


def nobody_reads_standard_output(house):
    """A pipe that nobody reads holds up neither messages nor pings nor the end."""
    pipe = house.folder / "events"
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDWR)
    try:
        ready = house.folder / "ready"
        with open(ready, "wb") as errors:
            listener = processes(house, "receiver", "listen", "--json", "--realm-key", house.realm_key, "--listen",
                                 "127.0.0.1:0", stdout=os.open(pipe, os.O_WRONLY), stderr=errors)
        until(lambda: b"/ip4/127" in ready.read_bytes(), "the listener's address")
        address = re.search(rb"/ip4/127\S*", ready.read_bytes()).group().decode()
        for _ in range(60):
            sent = house.run("send", "-q", "--realm-key", house.realm_key, "--to", address, "-m", "x" * 3000)
            assert sent.returncode == OK, sent.stderr
        pinged = house.run("ping", "--timeout", "5s", address, "-c", "1")
        assert pinged.returncode == OK, pinged.stderr
        listener.send_signal(signal.SIGTERM)
        # What could not be written is a failure, and one signal is enough.
        assert listener.wait(PATIENCE) == 74, listener.returncode
    finally:
        os.close(held)


def what_waited_is_all_there_when_a_slow_reader_reads(house):
    pipe = house.folder / "events"
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDWR)
    ready = house.folder / "ready"
    with open(ready, "wb") as errors:
        listener = processes(house, "receiver", "listen", "--json", "--realm-key", house.realm_key, "--listen",
                             "127.0.0.1:0", stdout=os.open(pipe, os.O_WRONLY), stderr=errors)
    until(lambda: b"/ip4/127" in ready.read_bytes(), "the listener's address")
    address = re.search(rb"/ip4/127\S*", ready.read_bytes()).group().decode()
    for number in range(40):
        sent = house.run("send", "-q", "--realm-key", house.realm_key, "--to", address, "-m", f"{number} " + "x" * 4000)
        assert sent.returncode == OK, sent.stderr
    listener.send_signal(signal.SIGTERM)
    text = b""
    while b'"type":"result"' not in text:
        ready_ends, _, _ = select.select([held], [], [], PATIENCE)
        assert ready_ends, "no result"
        text += os.read(held, 1 << 16)
    os.close(held)
    assert listener.wait(PATIENCE) == OK
    lines = [json.loads(line) for line in text.splitlines()]
    numbers = [int(line["text"].split()[0]) for line in lines if line["type"] == "message"]
    assert numbers == list(range(40)), numbers


def a_stopped_terminal_stops_no_relay(house):
    """Ctrl-S on the terminal of a relay: pings through its thread go on, and SIGTERM ends it."""
    master, slave = pty.openpty()
    relay = processes(house, "receiver", "relay", "-vv", "--listen", "127.0.0.1:0", "--ephemeral", stdout=slave,
                      stderr=slave)
    os.close(slave)
    said = b""
    while b"/p2p/" not in said:
        said += os.read(master, 65536)
    address = re.search(rb"/ip4/127\S*", said).group().decode()
    os.write(master, b"\x13")
    for _ in range(10):
        pinged = house.run("ping", "--ephemeral", "--timeout", "5s", address, "-c", "1")
        assert pinged.returncode == OK, pinged.stderr
    relay.send_signal(signal.SIGTERM)
    status = relay.wait(PATIENCE)
    assert status in (OK, 74), status
    os.close(master)


def progress_fits_the_terminal_whatever_the_name(house):
    """Wide characters, long names and dumb terminals: the figures are there, within the columns, without escapes."""
    _, address = house.listen()
    names = ["超長的檔案名稱" * 6, "n" * 150]
    for name in names:
        with open(house.folder / name, "wb") as file:
            for _ in range(300):
                file.write(bytes(1 << 20))
        for term in ("dumb", "xterm"):
            master, slave = pty.openpty()
            termios.tcsetwinsize(slave, (24, 60))
            environment = house.environment("sender") | {"TERM": term}
            sender = subprocess.Popen(
                [house.binary, "send", "--realm-key", house.realm_key, "--to", address, house.folder / name],
                env=environment, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave)
            os.close(slave)
            said = b""
            while True:
                try:
                    part = os.read(master, 65536)
                except OSError:
                    break
                if not part:
                    break
                said += part
            os.close(master)
            assert sender.wait(PATIENCE) == OK, said.decode(errors="replace")
            text = said.decode()
            assert "\x1b" not in text or term != "dumb", text
            lines = [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]", text)]
            progress = [line for line in lines if " of " in line and "%" in line]
            assert progress, text
            assert max(map(columns, progress)) < 60, progress


def columns(text):
    import unicodedata
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text.rstrip())


def a_credential_that_a_service_manager_hands_over(house):
    """A list that lets one user read makes the mode 0440; links are what container managers mount."""
    need_root("another user's access is what is tried")
    user = "nobody"
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dep2p-credentials-", dir="/tmp"))
    try:
        folder.chmod(0o711)
        credentials = folder / "c"
        credentials.mkdir()
        shutil.copy(house.realm_key, credentials / "realm.key")
        house.run("keygen", "-o", credentials / "identity.pem")
        for name in ("realm.key", "identity.pem"):
            (credentials / name).chmod(0o400)
            subprocess.run(["setfacl", "-m", f"u:{user}:r", credentials / name], check=True)
        subprocess.run(["setfacl", "-m", f"u:{user}:rx", credentials], check=True)
        binary = folder / "dep2p"
        shutil.copy(house.binary, binary)
        binary.chmod(0o755)
        assert stat.S_IMODE((credentials / "realm.key").stat().st_mode) == 0o440

        def relay(**options):
            child = subprocess.Popen(
                ["setpriv", f"--reuid={user}", "--clear-groups", binary, "relay", "--listen", "127.0.0.1:0", "--json"],
                env={"PATH": os.environ["PATH"], "CREDENTIALS_DIRECTORY": str(credentials)} | options,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            first = [json.loads(child.stdout.readline() or "{}") for _ in range(2)][-1]
            # One that has told its result is on its way out by itself.
            if first.get("type") == "listening":
                child.terminate()
            words = child.communicate(timeout=PATIENCE)[1].decode()
            return first.get("type"), child.returncode, words

        kind, status, words = relay()
        assert (kind, status) == ("listening", OK), words
        # Behind a link, as container managers mount secrets.
        (credentials / "real").mkdir()
        (credentials / "realm.key").rename(credentials / "real" / "key")
        subprocess.run(["setfacl", "-m", f"u:{user}:rx", credentials / "real"], check=True)
        (credentials / "realm.key").symlink_to("real/key")
        kind, status, words = relay()
        assert (kind, status) == ("listening", OK), words
        # One more user, or everybody: refused as ever.
        subprocess.run(["setfacl", "-m", "u:daemon:r", credentials / "real" / "key"], check=True)
        kind, status, words = relay()
        assert status == PERMISSION, (kind, status, words)
    finally:
        shutil.rmtree(folder)


def without_a_family(house, family):
    """A library that makes the kernel look as if it had been booted without an address family."""
    library = house.folder / f"without-{family}.so"
    source = house.folder / "without.c"
    source.write_text(
        "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <errno.h>\n#include <sys/socket.h>\n"
        "int socket(int domain, int type, int protocol) {\n"
        '    int (*real)(int, int, int) = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");\n'
        "    if (domain == MISSING) { errno = EAFNOSUPPORT; return -1; }\n"
        "    return real(domain, type, protocol);\n}\n")
    subprocess.run(["cc", f"-DMISSING={family}", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return str(library)


def one_address_family_is_missing(house):
    for family in ("AF_INET6", "AF_INET"):
        library = without_a_family(house, family)
        for command in (["relay", "--ephemeral"], ["relay", "--ephemeral", "--tcp-listen", ":0"],
                        ["relay", "--ephemeral", "--listen", ":0"],
                        ["listen", "--realm-key", house.realm_key], ["listen", "--realm-key", house.realm_key,
                                                                     "--listen", ":0"]):
            if command[0] == "relay" and "--listen" not in command:
                command = command + ["--listen", ":0"]
            child = subprocess.Popen([house.binary, *map(os.fsencode, command), "--json"],
                                     env=house.environment("receiver") | {"LD_PRELOAD": library},
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            kinds = [json.loads(child.stdout.readline() or "{}").get("type") for _ in range(2)]
            child.terminate()
            words = child.communicate(timeout=PATIENCE)[1].decode()
            assert kinds == ["hello", "listening"] and child.returncode == OK, (family, command, kinds, words)


def an_interface_that_does_not_exist_is_named(house):
    for arguments in (["ping", "[fe80::1%nosuch0]:4001", "-c", "1", "--timeout", "2s"],
                      ["ping", "[fe80::1%99999]:4001", "-c", "1", "--timeout", "2s"]):
        done = house.run(*arguments)
        zone = re.search("%(.*)]", arguments[1]).group(1)
        assert done.returncode == UNAVAILABLE and f"no interface {zone}" in done.stderr.decode(), done
    done = house.run("listen", "--realm-key", house.realm_key, "--listen", "[fe80::1%nosuch0]:0")
    assert done.returncode == 71 and "no interface nosuch0" in done.stderr.decode(), done
    done = house.run("ping", "[fe80::1]:4001", "-c", "1", "--timeout", "2s")
    assert done.returncode == UNAVAILABLE and "needs its interface" in done.stderr.decode(), done


def a_dead_resolver_is_no_firewall(house):
    """Whatever way the resolver fails, and however long one waits: 75, and the resolver is named."""
    need_root("a resolver of its own")
    for script in ("", "ip link set lo up; "):
        for timeout in ("1s", "12s"):
            # In a network of its own: nobody answers at the resolver's address, or nothing is reachable at all.
            line = (f"{script}mount --bind {house.folder}/resolv /etc/resolv.conf; "
                    f'exec "$@"')
            (house.folder / "resolv").write_text("nameserver 127.0.0.77\noptions timeout:1 attempts:1\n")
            done = subprocess.run(
                ["unshare", "--net", "--mount", "bash", "-c", line, "-", house.binary, "ping", "--ephemeral",
                 "host.example:4001", "-c", "1", "--timeout", timeout],
                env=house.environment("sender"), stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
            words = done.stderr.decode()
            assert done.returncode == TRY_AGAIN and "resolver" in words and "firewall" not in words, (done, words)


def a_home_that_cannot_be_written_names_the_way_out(house):
    done = subprocess.run([house.binary, "ping", "127.0.0.1:9", "-c", "1"], env={
        "PATH": os.environ["PATH"], "HOME": "/proc/nowhere"}, stdin=subprocess.DEVNULL, capture_output=True,
        timeout=PATIENCE)
    assert done.returncode == CANNOT_CREATE and "--ephemeral" in done.stderr.decode(), done


def the_line_to_paste_names_the_best_address(house):
    """An idle bridge, one that carries, and an interface without a link beside the LAN."""
    need_root("network namespaces")
    first, second = (f"dep2p-torture-{os.getpid()}-{number}" for number in (1, 2))

    def ip(*words):
        subprocess.run(["ip", *words], check=True)

    try:
        for name in (first, second):
            ip("netns", "add", name)
        ip("-n", second, "link", "set", "lo", "up")
        for name, address in (("docker0", "172.17.0.1/16"), ("br-1", "172.18.0.1/16")):
            ip("-n", second, "link", "add", name, "type", "bridge")
            ip("-n", second, "addr", "add", address, "dev", name)
            ip("-n", second, "link", "set", name, "up")
        # The second bridge carries, as that of a running container.
        ip("-n", second, "link", "add", "c0", "type", "veth", "peer", "name", "c1")
        ip("-n", second, "link", "set", "c0", "master", "br-1", "up")
        ip("-n", second, "link", "set", "c1", "up")
        ip("link", "add", "v1", "netns", first, "type", "veth", "peer", "name", "v2", "netns", second)
        ip("-n", first, "addr", "add", "192.168.1.4/24", "dev", "v1")
        ip("-n", first, "link", "set", "v1", "up")
        ip("-n", second, "addr", "add", "192.168.1.5/24", "dev", "v2")
        ip("-n", second, "link", "set", "v2", "up")
        # An interface without a link: the other end of its cable is down.
        ip("-n", second, "link", "add", "u0", "type", "veth", "peer", "name", "u1")
        ip("-n", second, "addr", "add", "172.19.0.1/16", "dev", "u0")
        ip("-n", second, "link", "set", "u0", "up")

        def shows(device, flag):
            return flag in subprocess.run(["ip", "-n", second, "link", "show", device], capture_output=True).stdout

        until(lambda: shows("br-1", b"LOWER_UP") and shows("u0", b"NO-CARRIER"), "the links are what they are")
        child = subprocess.Popen(
            ["ip", "netns", "exec", second, house.binary, "listen", "--json", "--realm-key", house.realm_key],
            env=house.environment("receiver"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        listening = [json.loads(child.stdout.readline()) for _ in range(2)][-1]
        child.terminate()
        child.communicate(timeout=PATIENCE)
        hosts = [address.split("/")[2] for address in listening["addresses"]]
        assert hosts[0] == "192.168.1.5", hosts
        bridges = [hosts.index("172.17.0.1"), hosts.index("172.18.0.1")]
        assert max(bridges) < hosts.index("127.0.0.1"), hosts
        assert "172.19.0.1" not in hosts, hosts
        assert "192.168.1.5" in listening["send"], listening
    finally:
        for name in (first, second):
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


TESTS = [
    a_reader_that_leaves_makes_no_failure_a_success,
    what_was_delivered_is_a_success_whoever_reads,
    nobody_reads_standard_output,
    what_waited_is_all_there_when_a_slow_reader_reads,
    a_stopped_terminal_stops_no_relay,
    progress_fits_the_terminal_whatever_the_name,
    a_credential_that_a_service_manager_hands_over,
    one_address_family_is_missing,
    an_interface_that_does_not_exist_is_named,
    a_dead_resolver_is_no_firewall,
    a_home_that_cannot_be_written_names_the_way_out,
    the_line_to_paste_names_the_best_address,
]


def cleared(folder):
    """The names in a folder, once the receiver has cleared up: when it hears that its receipts were read, for which the sender
    does not wait."""
    until(lambda: not any(name.startswith(".dep2p-resume-") for name in os.listdir(folder)), "a receiver that clears up")
    return os.listdir(folder)
