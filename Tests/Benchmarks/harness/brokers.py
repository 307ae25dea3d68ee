"""The same number of messages of the same size through brokers, to as many subscribers: nats-server and mosquitto.

Neither signs anything, neither encrypts anything here, and nobody but the broker knows more than one connection: a ceiling.
"""

import pathlib
import socket
import subprocess
import sys
import time

from measure import Failure, Process, cpu_seconds

SUBSCRIBERS, SIZE, TOPIC = 7, 1_024, "bench"

# A subscriber of NATS counts bytes, a publisher writes what has been made before: a client that does less is hard to find.
NATS_SUBSCRIBER = """
import socket, sys
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
link.sendall(b'CONNECT {"verbose":false,"pedantic":false}\\r\\nSUB %s 1\\r\\nPING\\r\\n' % sys.argv[2].encode())
seen = b""
while b"PONG" not in seen:
    seen += link.recv(65536)
print("ready", flush=True)
left = int(sys.argv[3])
while left > 0:
    part = link.recv(1 << 20)
    if not part:
        sys.exit("the broker has closed")
    left -= len(part)
"""


def line(number):
    return f"{number:09} ".ljust(SIZE - 1, "x").encode() + b"\n"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until_it_listens(port):
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise Failure("the broker does not listen") from None
            time.sleep(0.02)


def timed(broker, subscribers, publish, count):
    """Messages in a second until every subscriber has had all, and processor seconds for each of broker and subscribers."""
    all_of_them = [broker, *subscribers]
    before, started = sum(cpu_seconds(process.pid) for process in all_of_them), time.monotonic()
    publish()
    used = sum(process.succeed(timeout=120).cpu for process in subscribers)
    seconds = time.monotonic() - started
    return count / seconds, (used + cpu_seconds(broker.pid) - before) / count


def nats(count):
    """A publisher in this process: what it uses is not counted."""
    port = free_port()
    broker = Process(["nats-server", "-a", "127.0.0.1", "-p", str(port)])
    try:
        until_it_listens(port)
        frame = len(f"MSG {TOPIC} 1 {SIZE}\r\n") + SIZE + 2
        subscribers = [Process([sys.executable, "-c", NATS_SUBSCRIBER, str(port), TOPIC, str(frame * count)],
                               stdout=subprocess.PIPE) for _ in range(SUBSCRIBERS)]
        for one in subscribers:
            if one.child.stdout.readline() != b"ready\n":
                raise Failure("a subscriber of nats-server did not begin")
        messages = b"".join(b"PUB %s %d\r\n%s\r\n" % (TOPIC.encode(), SIZE, line(number)) for number in range(count))
        link = socket.create_connection(("127.0.0.1", port))
        link.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\n')
        figures = timed(broker, subscribers, lambda: link.sendall(messages), count)
        link.close()
        for one in subscribers:
            one.child.stdout.close()
        return figures
    finally:
        broker.stop()


def mosquitto(count, folder):
    """Its own clients, at most once each (QoS 0); queues as long as it takes, so that none is left out."""
    port, settings = free_port(), pathlib.Path(folder) / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
                        "log_dest stderr\nlog_type subscribe\n")
    broker = Process(["mosquitto", "-c", str(settings)])
    try:
        until_it_listens(port)
        target = ["-h", "127.0.0.1", "-p", str(port), "-t", TOPIC]
        subscribers = [Process(["mosquitto_sub", *target, "-C", str(count)]) for _ in range(SUBSCRIBERS)]
        deadline = time.monotonic() + 10
        while sum(TOPIC in text for text in broker.errors) < SUBSCRIBERS:
            if time.monotonic() > deadline:
                raise Failure("the subscribers of mosquitto did not begin")
            time.sleep(0.02)
        publisher = Process(["mosquitto_pub", *target, "-l"], stdin=subprocess.PIPE)

        def publish():
            publisher.child.stdin.write(b"".join(line(number) for number in range(count)))
            publisher.child.stdin.close()

        figures = timed(broker, subscribers, publish, count)
        publisher.succeed(timeout=30)
        return figures
    finally:
        broker.stop()
        settings.unlink()
