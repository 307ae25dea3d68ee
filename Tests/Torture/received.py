"""What arrives, and under which names: many senders, odd names, folders, streams, messages."""

import os
import signal
import subprocess
import threading

from machine import cleared
from nodes import DATA, NO_INPUT, OK, USAGE, assert_same

ODD_NAMES = [
    b"-rf", b"--help", b"two words", b"tab\there", b"line\nbreak", b"\x1b[31mred\x1b[0m", b"bell\x07", b"c1\xc2\x9b31m",
    "right\u202eexe.txt".encode(), b"not-utf8-\xff\xfe", "composed-\u00e9".encode(), "decomposed-e\u0301".encode(),
    b"..hidden", b".ssh", b"trailing.", b"a" * 255, b"back\\slash", b"CON", b"star*?", b"'quote\"",
]


def no_control_bytes(data, where):
    bad = [byte for byte in data if (byte < 0x20 and byte != 0x0A) or byte == 0x7F]
    assert not bad, f"control bytes {bad} in {where}"
    text = data.decode()  # and it is UTF-8
    assert not any(0x80 <= ord(letter) < 0xA0 or letter in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
                   for letter in text), f"control characters in {where}"


def hostile_names_reach_neither_terminal_nor_folder(house):
    """Every odd name is either refused with a reason or received under a harmless name with the same bytes."""
    folder = os.fsencode(house.folder / "odd")
    os.mkdir(folder)
    _, address = house.listen()
    human = subprocess.Popen(
        [house.binary, "listen", "--realm-key", house.realm_key, "--listen", "127.0.0.1:0", "-o",
         house.folder / "human"], env=house.environment("human"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        accepted = 0
        for index, name in enumerate(ODD_NAMES):
            path = os.path.join(folder, name)
            with open(path, "wb") as file:
                file.write(b"contents %d" % index)
            done = house.run("send", "--realm-key", house.realm_key, "--to", address, "--", path)
            assert done.returncode in (OK, DATA, NO_INPUT, USAGE), f"{name}: {done.returncode} {done.stderr}"
            no_control_bytes(done.stdout + done.stderr, f"what send says of {name}")
            accepted += done.returncode == OK
        cleared(house.inbox)
        names = os.listdir(os.fsencode(house.inbox))
        assert len(names) == accepted > len(ODD_NAMES) // 2, names
        for name in names:
            no_control_bytes(name, "a received name")
            assert name not in (b".", b"..") and b"/" not in name
        contents = [open(os.path.join(os.fsencode(house.inbox), name), "rb").read() for name in names]
        assert len(set(contents)) == accepted, "two files became one"
    finally:
        human.send_signal(signal.SIGTERM)
        said, _ = human.communicate(timeout=20)
    no_control_bytes(said, "what listen says")


def an_existing_file_is_never_overwritten(house):
    precious = house.inbox / "report.txt"
    precious.write_text("precious")
    source = house.source("report.txt", 10_000)
    _, address = house.listen()
    house.sent(address, source)
    assert precious.read_text() == "precious"
    others = [path for path in house.inbox.iterdir() if path.name != "report.txt"]
    assert len(others) == 1, others
    assert_same(source, others[0])


def a_link_in_the_inbox_is_not_followed(house):
    outside = house.folder / "outside"
    outside.write_text("outside")
    (house.inbox / "report.txt").symlink_to(outside)
    source = house.source("report.txt", 10_000)
    _, address = house.listen()
    house.sent(address, source)
    assert outside.read_text() == "outside"
    assert any(path.is_file() and not path.is_symlink() and path.stat().st_size == 10_000
               for path in house.inbox.iterdir())


def a_folder_arrives_without_links_and_devices(house):
    notes = house.folder / "notes"
    (notes / "deep" / "deeper").mkdir(parents=True)
    (notes / "empty").write_bytes(b"")
    for index in range(300):
        (notes / "deep" / f"{index}.txt").write_bytes(house.random.randbytes(house.random.randrange(40_000)))
    (notes / "deep" / "deeper" / "last").write_bytes(b"x" * 16384)
    (notes / "link").symlink_to("/etc/passwd")
    (notes / "deep" / "out").symlink_to("..")
    os.mkfifo(notes / "pipe")
    _, address = house.listen()
    house.sent(address, notes)
    target = house.inbox / "notes"
    for path in notes.rglob("*"):
        copy = target / path.relative_to(notes)
        if path.is_symlink() or path.name == "pipe":
            assert not os.path.lexists(copy), f"{copy} was made"
        elif path.is_file():
            assert_same(path, copy)
            assert copy.stat().st_mode & 0o177 == 0, f"{copy} has mode {oct(copy.stat().st_mode)}"


def many_senders_at_once(house):
    listener, address = house.listen()
    sources = [house.source(f"file-{index}", house.random.randrange(8 * 1024 * 1024)) for index in range(12)]
    senders = [house.send(address, source, home=f"sender-{index}") for index, source in enumerate(sources)]
    for sender in senders:
        assert sender.wait() == OK, sender.text()
    for source in sources:
        assert_same(source, house.inbox / source.name)
    listener.kill(signal.SIGTERM)
    assert listener.wait() == OK


def the_same_name_from_two_senders_stays_two_files(house):
    _, address = house.listen()
    sources = []
    for side in ("left", "right"):
        (house.folder / side).mkdir()
        path = house.folder / side / "same.bin"
        path.write_bytes(house.random.randbytes(4 * 1024 * 1024))
        sources.append(path)
    senders = [house.send(address, source, home=source.parent.name) for source in sources]
    for sender in senders:
        assert sender.wait() == OK, sender.text()
    received = {path.read_bytes() for path in house.inbox.iterdir()}
    assert received == {path.read_bytes() for path in sources}


def standard_input_arrives_whole(house):
    data = house.random.randbytes(5_000_001)
    _, address = house.listen("--once")
    done = house.run("send", "--realm-key", house.realm_key, "--to", address, "-", stdin=None, input=data)
    assert done.returncode == OK, done.stderr
    received = [path.read_bytes() for path in house.inbox.iterdir()]
    assert received == [data]


def messages_and_replies_arrive(house):
    listener, address = house.listen("--reply", "noted")
    for text in ("build 512 is green", "", "ünï \u202e \x1b[31m", "x" * 100_000):
        if not text:
            continue
        result = house.sent(address, "-m", text)
        assert result["reply"] == "noted", result
        assert listener.until("message")["text"] == text


def a_listener_whose_reader_left_ends_quietly(house):
    process = subprocess.Popen(
        [house.binary, "listen", "--json", "--realm-key", house.realm_key, "--listen", "127.0.0.1:0", "-o", house.inbox],
        env=house.environment("receiver"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    import json
    while True:
        event = json.loads(process.stdout.readline())
        if event["type"] == "listening":
            break
    process.stdout.close()
    house.run("send", "--realm-key", house.realm_key, "--to", event["addresses"][0], "-m", "hello")
    killer = threading.Timer(20, process.kill)
    killer.start()
    process.wait()
    killer.cancel()
    assert process.returncode in (OK, -signal.SIGPIPE), process.returncode
    said = process.stderr.read()
    assert b"error" not in said and b"atal" not in said, said


TESTS = [hostile_names_reach_neither_terminal_nor_folder, an_existing_file_is_never_overwritten,
         a_link_in_the_inbox_is_not_followed, a_folder_arrives_without_links_and_devices, many_senders_at_once,
         the_same_name_from_two_senders_stays_two_files, standard_input_arrives_whole, messages_and_replies_arrive,
         a_listener_whose_reader_left_ends_quietly]
