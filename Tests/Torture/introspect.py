"""A node that shows what it does over HTTP: what it shows, to whom, and what strangers of the same machine can do to it
(issue 10.10)."""

import http.client
import json
import os
import re
import resource
import shutil
import socket
import stat
import subprocess
import threading
import time

from nodes import OK, PATIENCE, USAGE, Node

PATHS = ("/health", "/node", "/connections", "/realm", "/relay", "/dht", "/pubsub", "/bandwidth")
# As the node has them (LocalHTTPServer.Limits).
CONNECTIONS, HEAD_BYTES = 32, 8 * 1024


class Shown:
    """A node of the realm with an introspection address, and whoever asks it."""

    def __init__(self, house, address="127.0.0.1:0", home="shown", more=()):
        self.house = house
        self.node = house.start(home, "start", "--realm-key", house.realm_key, "--listen", "127.0.0.1:0",
                                "--introspect", address, *more)
        self.listening = self.node.until("listening")
        self.address = self.node.until("introspection")["address"]
        self.port = int(self.address.rstrip("/").rsplit(":", 1)[1]) if self.address.startswith("http") else None

    def connect(self):
        if self.port is None:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(PATIENCE)
            client.connect(self.address)
            return client
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def raw(self, text):
        """Everything that comes back, until the other side closes."""
        with self.connect() as client:
            try:
                client.sendall(text)
                client.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            return drain(client)

    def get(self, path, host=None, method="GET"):
        answer = self.raw(f"{method} {path} HTTP/1.1\r\nHost: {host or f'localhost:{self.port}'}\r\n\r\n".encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), head.decode().lower(), body

    def json(self, path):
        status, head, body = self.get(path)
        assert status == 200 and "content-type: application/json" in head, (path, head)
        assert all(byte == 10 or 32 <= byte <= 126 for byte in body), (path, body)
        document = json.loads(body)
        assert document["v"] == 1, document
        return document


def drain(client):
    got = b""
    try:
        while chunk := client.recv(65536):
            got += chunk
    except OSError:
        pass
    return got


def status_of(answer):
    return int(answer.split()[1]) if answer else None


def assert_same(left, right, what):
    assert left == right, f"{what}: {left} and {right}"


# What is shown

def what_a_node_has_carried_is_shown_and_adds_up(house):
    right = Shown(house, more=("-o", house.inbox))
    target = right.listening["addresses"][0]
    content = house.folder / "content"
    content.write_bytes(house.random.randbytes(3_000_000))
    for arguments in ((content,), ("-m", "x" * 10_000)):
        done = house.run("send", "-q", "--realm-key", house.realm_key, "--ephemeral", "--to", target, *arguments)
        assert done.returncode == OK, done.stderr
    shown = right.json("/bandwidth")
    received = shown["protocols"]["/dep2p/app/transfer/1.0.0"]["received"]
    assert 3_000_000 <= received < 3_030_000, shown
    assert shown["protocols"]["/dep2p/app/messaging/1.0.0"]["received"] >= 10_000, shown
    assert_same(sum(flow["received"] for flow in shown["protocols"].values()), shown["total"]["payload"]["received"],
                "protocols and total")
    assert_same(sum(shown["paths"][path]["wire"]["received"] for path in ("direct", "punched", "relay")),
                shown["total"]["wire"]["received"], "paths and total")
    node = right.json("/node")
    assert node["node_id"] == right.listening["node_id"] and node["addresses"] == right.listening["addresses"], node
    assert node["reachability"]["reachable"] == "unknown" and node["reachability"]["why"], node
    assert right.json("/health")["status"] == "ok"
    assert right.json("/realm")["realm_id"] == node["realm_id"] is not None
    assert right.json("/relay")["service"] is None
    # Rates are of the time since somebody looked before.
    time.sleep(1.1)
    assert right.json("/bandwidth")["interval_seconds"] >= 1
    right.node.kill(15)
    assert right.node.wait() == OK, right.node.text()


def who_is_connected_and_what_failed_is_shown(house):
    shown = Shown(house)
    pings = subprocess.Popen([house.binary, "ping", "-q", "-c", "1000", "-i", "100ms", "--ephemeral", "--json",
                              shown.listening["addresses"][0]], env=house.environment("pinger"),
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        pinger = json.loads(pings.stdout.readline())["node_id"]
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = [one for one in shown.json("/connections")["connections"] if one["node_id"] == pinger]
            if found:
                break
        assert found and found[0]["path"] == "direct" and not found[0]["outgoing"] and not found[0]["member"], found
        assert found[0]["address"].startswith("127.0.0.1:") and found[0]["wire"]["received"] >= 1200, found
    finally:
        pings.kill()
        pings.wait()
    # It is gone without a word: that is a failure.
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        failures = shown.json("/health")["failures"]
        if any(failure["node_id"] == pinger for failure in failures):
            break
        time.sleep(0.2)
    failure = next(failure for failure in failures if failure["node_id"] == pinger)
    assert failure["what"] == "connection" and "timed out" in failure["reason"], failure
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", failure["at"]), failure

def the_dht_and_topics_are_shown(house):
    first = Shown(house, more=("--bootstrap-server",))
    address = first.listening["addresses"][0]
    assert_same(first.json("/dht")["serves"], True, "a bootstrap server serves")
    second = Shown(house, home="second", more=("--bootstrap", address))
    dht = second.json("/dht")
    assert_same(dht["bootstrap"], [first.listening["node_id"]], "bootstrap nodes")
    deadline = time.monotonic() + PATIENCE
    while not second.json("/dht")["known"] and time.monotonic() < deadline:
        time.sleep(0.2)
    dht = second.json("/dht")
    assert dht["used"] and not dht["serves"] and dht["known"] == 1 and dht["network_size"] is None, dht
    assert_same(sum(bucket["known"] for bucket in dht["buckets"]), 1, "buckets")
    assert b"\ndep2p_dht_known_nodes 1\n" in second.get("/metrics")[2]
    without = Shown(house, home="without", more=("--no-dht",))
    assert_same(without.json("/dht"), {"v": 1, "used": False}, "a node without")
    assert b"dep2p_dht" not in without.get("/metrics")[2]
    assert_same(second.json("/pubsub"), {"v": 1, "active": False, "topics": []}, "topics")


SAMPLE = re.compile(r'([a-z_:][a-z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (NaN|-?[0-9.]+)')


def metrics(text):
    """Prometheus' text format, strictly: each family once, HELP and TYPE before its samples, no series twice."""
    families, series, current = {}, {}, None
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            current, text_of = line[7:].split(" ", 1)
            assert current not in families and text_of, line
            families[current] = None
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name == current and families[name] is None and kind in ("counter", "gauge"), line
            families[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            assert name == current and families[name], line
            assert (families[name] == "counter") == name.endswith("_total"), line
            key = (name, labels or "")
            assert key not in series, line
            series[key] = float(value)
    return families, series


def prometheus_takes_the_metrics(house):
    shown = Shown(house, more=("-o", house.inbox))
    done = house.run("send", "-q", "--realm-key", house.realm_key, "--ephemeral", "--to",
                     shown.listening["addresses"][0], "-m", "x" * 5_000)
    assert done.returncode == OK, done.stderr
    status, head, body = shown.get("/metrics")
    assert status == 200 and "content-type: text/plain; version=0.0.4; charset=utf-8" in head, head
    families, series = metrics(body.decode())
    labels = {label for _, text in series for label in re.findall(r'([a-z_]+)="', text)}
    assert labels <= {"path", "family", "protocol", "version"}, labels
    assert "12D3Koo" not in body.decode()
    key = ("dep2p_payload_received_bytes_total", 'protocol="/dep2p/app/messaging/1.0.0",path="direct"')
    assert series[key] >= 5_000, series
    assert series[("dep2p_connections", 'path="direct",family="ipv4"')] >= 0
    # A query that is not known changes nothing, and peers are named when that is asked for.
    assert shown.get("/metrics?x=1")[0] == 200
    named = shown.get("/metrics?peers")[2].decode()
    _, series = metrics(named)
    assert sum("peer=" in text for _, text in series) >= 4, named
    if shutil.which("promtool"):
        for text in (body, named.encode()):
            check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
            assert check.returncode == 0 and not check.stdout + check.stderr, check


# To whom

def nobody_but_this_machine_is_served(house):
    for address in ("0.0.0.0:0", "[::]:0", ":9300", "192.0.2.1:9300", "example.org:9300", "9300", "dep2p.sock"):
        done = house.run("start", "--listen", "127.0.0.1:0", "--ephemeral", "--introspect", address)
        assert done.returncode == USAGE and b"introspect" in done.stderr, (address, done)
    shown = Shown(house)
    for host in ("evil.example", f"evil.example:{shown.port}", f"127.0.0.1.nip.io:{shown.port}", "localhost",
                 f"localhost:{shown.port + 1}", f"10.0.0.1:{shown.port}", f"[::2]:{shown.port}"):
        for path in PATHS + ("/", "/metrics", "/nothing"):
            status, _, body = shown.get(path, host=host)
            assert status == 421 and b"12D3Koo" not in body, (host, path, status)
    for host in (f"localhost:{shown.port}", f"127.0.0.1:{shown.port}", f"[::1]:{shown.port}", f"LOCALHOST:{shown.port}"):
        assert shown.get("/health", host=host)[0] == 200, host
    host = f"Host: localhost:{shown.port}\r\n".encode()
    for request, status in (
            (b"GET /health HTTP/1.1\r\n\r\n", 421), (b"GET /health HTTP/1.0\r\n\r\n", 421),
            (b"GET /health HTTP/1.1\r\n" + host + host + b"\r\n", 421),
            (b"GET http://localhost/health HTTP/1.1\r\n" + host + b"\r\n", 400),
            (b"POST /health HTTP/1.1\r\n" + host + b"Content-Length: 5\r\n\r\nhello", 405),
            (b"GET /health HTTP/1.1\r\n" + host + b"Content-Length: 5\r\n\r\nhello", 413),
            (b"GET /health HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413),
            (b"DELETE /health HTTP/1.1\r\n" + host + b"\r\n", 405), (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),
            (b"GET /nothing HTTP/1.1\r\n" + host + b"\r\n", 404), (b"GET /../etc/passwd HTTP/1.1\r\n" + host + b"\r\n", 404),
            (b"GET /health HTTP/1.0\r\n" + host + b"\r\n", 200)):
        assert_same(status_of(shown.raw(request)), status, request)
    status, head, body = shown.get("/node", method="HEAD")
    assert status == 200 and not body and re.search(r"content-length: [1-9]", head), head
    head = shown.get("/")[1]
    for line in ("default-src 'none'", "frame-ancestors 'none'", "x-frame-options: deny", "nosniff", "no-store",
                 "cross-origin-resource-policy: same-origin", "connection: close"):
        assert line in head, head
    assert "access-control-allow-origin" not in head


def a_unix_socket_is_this_users_alone(house):
    path = house.folder / "node.sock"
    shown = Shown(house, address=f"unix:{path}")
    assert shown.address == str(path) and stat.S_ISSOCK(path.stat().st_mode)
    assert_same(stat.S_IMODE(path.stat().st_mode), 0o600, "the socket's mode")
    assert shown.get("/health", host="anything")[0] == 200
    assert status_of(shown.raw(b"GET /health HTTP/1.1\r\n\r\n")) == 200
    second = house.run("start", "--listen", "127.0.0.1:0", "--ephemeral", "--introspect", path, home="second")
    assert second.returncode != OK and b"node.sock" in second.stderr, second
    # One that was killed leaves its socket, and the next takes its place.
    shown.node.kill()
    shown.node.wait()
    assert path.exists()
    again = Shown(house, address=str(path))
    assert again.get("/health", host="x")[0] == 200
    again.node.kill(15)
    assert again.node.wait() == OK and not path.exists()


def a_port_that_is_taken_is_told(house):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = house.run("start", "--listen", "127.0.0.1:0", "--ephemeral", "--introspect", address)
        assert done.returncode != OK and address.encode() in done.stderr, done


# What strangers can do

def descriptors(node):
    return len(os.listdir(f"/proc/{node.child.pid}/fd"))


def settled(node):
    """How many descriptors it has when it has had as many for a while: what starts opens some yet."""
    same, before = 0, descriptors(node)
    for _ in range(200):
        if same == 5:
            break
        time.sleep(0.1)
        now = descriptors(node)
        same, before = same + 1 if now == before else 0, now
    return before


def resident(node):
    with open(f"/proc/{node.child.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def strangers_hold_nobody_up(house):
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    shown = Shown(house)
    host = f"Host: localhost:{shown.port}\r\n".encode()
    assert shown.get("/health")[0] == 200
    quiet, memory = settled(shown.node), resident(shown.node)
    held = []
    try:
        for number in range(1000):
            client = shown.connect()
            # Half of them say nothing, some begin, some ask and never read.
            if number % 4 == 1:
                client.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
            elif number % 4 == 3:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
                client.sendall(b"GET / HTTP/1.1\r\n" + host + b"\r\n")
            held.append(client)
        assert descriptors(shown.node) <= quiet + CONNECTIONS + 2, descriptors(shown.node)
        for path in PATHS + ("/", "/metrics"):
            assert shown.get(path)[0] == 200, path
    finally:
        for client in held:
            client.close()
    assert resident(shown.node) < memory + (16 << 20), (memory, resident(shown.node))
    done = house.run("ping", "-c", "1", "-q", "--ephemeral", shown.listening["addresses"][0])
    assert done.returncode == OK, done.stderr


def who_drips_or_never_reads_is_let_go(house):
    shown = Shown(house)
    host = f"Host: localhost:{shown.port}\r\n".encode()
    assert shown.get("/health")[0] == 200
    # Half a second after its start a node watches its network, which takes a descriptor.
    time.sleep(2)
    quiet = settled(shown.node)

    def drip(client):
        try:
            client.sendall(b"GET /health HTTP/1.1\r\n")
            while True:
                client.sendall(b"a: b\r\n")
                time.sleep(0.2)
        except OSError:
            pass

    slow, deaf, silent = shown.connect(), shown.connect(), shown.connect()
    threading.Thread(target=drip, args=(slow,), daemon=True).start()
    deaf.sendall(b"GET / HTTP/1.1\r\n" + host + b"\r\n")
    deadline = time.monotonic() + PATIENCE
    while descriptors(shown.node) > quiet and time.monotonic() < deadline:
        time.sleep(0.1)
    assert_same(descriptors(shown.node), quiet, "descriptors")
    assert_same(status_of(drain(silent)), 408, "silence")
    for client in (slow, deaf, silent):
        client.close()


def heads_and_junk_are_bounded(house):
    shown = Shown(house)
    host = f"Host: localhost:{shown.port}\r\n".encode()
    before = resident(shown.node)
    for request in (b"GET / HTTP/1.1\r\n" + host + b"X: " + b"y" * (64 << 20), b"GET /" + b"a" * (64 << 20),
                    b"GET / HTTP/1.1\r\n" + host + b"A: b\r\n" * 1_000_000, b"\x00" * (64 << 20),
                    b"GET / HTTP/1.1\r\n" + host + b"X" * (64 << 20)):
        answer = shown.raw(request)
        assert status_of(answer) in (None, 400, 431), (request[:60], answer[:100])
    # Requests that a client sends ahead are not answered, and cost nothing.
    one = b"GET /health HTTP/1.1\r\n" + host + b"\r\n"
    answer = shown.raw(one * 200_000)
    assert answer == b"" or answer.count(b"HTTP/1.1 200") == 1, answer[:200]
    assert_same(status_of(shown.raw(one + b"\xff" * 1000)), 200, "junk behind a request")
    for _ in range(300):
        shown.raw(house.random.randbytes(house.random.randrange(1, 3000)))
    assert resident(shown.node) < before + (16 << 20), (before, resident(shown.node))
    assert shown.get("/health")[0] == 200
    shown.node.kill(15)
    assert shown.node.wait() == OK, shown.node.text()


def who_asks_in_a_loop_gets_what_there_is(house):
    """Documents are made four times a second at most: a loop over them costs the network thread nothing more."""
    shown = Shown(house)
    answers, stop = [], time.monotonic() + 3

    def ask():
        while time.monotonic() < stop:
            client = http.client.HTTPConnection("127.0.0.1", shown.port, timeout=PATIENCE)
            client.request("GET", "/node", headers={"Host": f"localhost:{shown.port}"})
            answers.append(json.loads(client.getresponse().read())["up_seconds"])
            client.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    moments = sorted(set(answers))
    assert len(answers) > len(moments) > 1, (len(answers), moments)
    assert all(later - earlier >= 0.24 for earlier, later in zip(moments, moments[1:])), moments


TESTS = [
    what_a_node_has_carried_is_shown_and_adds_up, who_is_connected_and_what_failed_is_shown, the_dht_and_topics_are_shown,
    prometheus_takes_the_metrics, nobody_but_this_machine_is_served, a_unix_socket_is_this_users_alone,
    a_port_that_is_taken_is_told,
    strangers_hold_nobody_up, who_drips_or_never_reads_is_let_go, heads_and_junk_are_bounded,
    who_asks_in_a_loop_gets_what_there_is,
]
