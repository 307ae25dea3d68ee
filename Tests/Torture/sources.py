"""What is sent: folders of many files with few descriptors, names that can't travel, files that change or lie."""

import base64
import os
import pathlib
import threading

from machine import cleared
from nodes import CANNOT_CREATE, DATA, IO_ERROR, NO_INPUT, OK, TRY_AGAIN, Node, assert_same
from refused import ended


def folder_of(house, name, count):
    folder = house.folder / name
    folder.mkdir()
    for number in range(count):
        (folder / str(number)).write_text(f"{name} {number}\n")
    return folder


def assert_arrived(house, folder):
    there = {path.name: path.read_bytes() for path in (house.inbox / folder.name).iterdir()}
    assert there == {path.name: path.read_bytes() for path in folder.iterdir()}, f"{len(there)} files in {folder.name}"


def limited(house, home, files, command, *arguments):
    """A command that may have so many descriptors and can't raise that."""
    node = Node(["prlimit", f"--nofile={files}:{files}", house.binary, command, "--json", *map(os.fsdecode, arguments)],
                house.environment(home))
    house.nodes.append(node)
    return node


def limited_pair(house, files):
    """A listener with so many descriptors, and what sends to it with as many."""
    listener = limited(house, "receiver", files, "listen", "--realm-key", house.realm_key, "--listen", "127.0.0.1:0", "-o",
                       house.inbox)
    address = listener.until("listening")["addresses"][0]
    return lambda *paths: limited(house, "sender", files, "send", "--realm-key", house.realm_key, "--to", address, *paths)


# Descriptors without a bound (D1, D14, issue 7.13).

def small_files_at_the_usual_descriptor_limit(house):
    folder = folder_of(house, "small", 1200)
    send = limited_pair(house, 1024)
    sender = send(folder)
    assert sender.wait() == OK, sender.text()
    assert_arrived(house, folder)
    again = send(folder)
    assert again.wait() == OK, again.text()


def a_folder_arrives_with_sixty_four_descriptors(house):
    folder = folder_of(house, "few", 600)
    sender = limited_pair(house, 64)(folder)
    assert sender.wait() == OK, sender.text()
    assert_arrived(house, folder)


def ten_thousand_files_at_four_thousand_descriptors(house):
    folder = folder_of(house, "ten-thousand", 10_000)
    sender = limited_pair(house, 4096)(folder)
    assert sender.wait(timeout=240) == OK, sender.text()
    assert_arrived(house, folder)


def many_folders_at_once_share_the_descriptors(house):
    folders = [folder_of(house, f"parallel-{number}", 400) for number in range(14)]
    send = limited_pair(house, 1024)
    senders = [send("--ephemeral", folder) for folder in folders]  # one node may have eight connections
    for sender in senders:
        assert sender.wait(timeout=240) == OK, sender.text()
    for folder in folders:
        assert_arrived(house, folder)


def a_thousand_folders_on_one_line(house):
    folders = [folder_of(house, f"line-{number}", 1) for number in range(1100)]
    sender = limited_pair(house, 1024)(*folders)
    assert sender.wait(timeout=240) == OK, sender.text()
    assert len(cleared(house.inbox)) == 1100


# Success without the work (D5, D6), all or nothing (D15).

def names_that_cannot_travel_are_failures(house):
    folder = house.folder / "d"
    folder.mkdir()
    names = [b"two\nlines", b"tab\ttab", b"latin-\xe9", "e\u0301".encode()]
    for name in names + [b"plain", "\u00e9".encode()]:
        pathlib.Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(name)
    (folder / "link").symlink_to("plain")
    _, address = house.listen()
    for options in [], ["-q"]:
        sender = house.send(address, *options, folder)
        assert sender.wait() == DATA, sender.text()
        result = sender.result()
        told = [base64.b64decode(failure["path_base64"]) if "path_base64" in failure else failure["path"].encode()
                for failure in result["failed"]]
        left_out = names[:3] + ["\u00e9".encode()]
        assert sorted(told) == sorted(os.fsencode(folder) + b"/" + name for name in left_out), told
        assert {failure["code"] for failure in result["failed"]} == {"badName"}, result
        assert [skip["path"] for skip in result["skipped"]] == [str(folder / "link")], result
        assert result["files"] == 2 and sorted(os.listdir(house.inbox / "d"))[0] == "plain", result
    quiet = house.run("send", "-q", "--realm-key", house.realm_key, "--to", address, folder)
    assert quiet.returncode == DATA and quiet.stderr.count(b"cannot be used") == 2, quiet.stderr
    assert b"not UTF-8" in quiet.stderr and b"encoding" in quiet.stderr, quiet.stderr


def one_missing_name_of_many_is_told_and_the_rest_arrives(house):
    source = house.source("there.bin", 5000)
    _, address = house.listen()
    sender = house.send(address, house.folder / "missing", source, "/dev/null")
    result = ended(sender, NO_INPUT)
    assert [failure["code"] for failure in result["failed"]] == ["inputMissing"] * 2, result
    assert_same(source, house.inbox / source.name)
    result = ended(house.send(address, house.folder / "missing", house.folder / "gone"), NO_INPUT)
    assert len(result["failed"]) == 2, result


def one_unreadable_file_does_not_stop_a_folder(house):
    folder = folder_of(house, "nine", 9)
    (folder / "5").chmod(0)
    (folder / "closed").mkdir()
    (folder / "closed").chmod(0)
    _, address = house.listen()
    # Root without the right to pass over modes is as anybody.
    rights = "-dac_override,-dac_read_search"
    sender = Node(["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", house.binary, "send", "--json",
                   "--realm-key", str(house.realm_key), "--to", address, str(folder)], house.environment("sender"))
    house.nodes.append(sender)
    result = ended(sender, IO_ERROR)
    names = sorted(pathlib.Path(failure["path"]).name for failure in result["failed"])
    assert names == ["5", "closed"] and result["files"] == 8, result
    assert len([path for path in (house.inbox / "nine").iterdir() if path.is_file()]) == 8


def what_the_receiver_cannot_store_does_not_stop_the_rest(house):
    """A folder that it may not write, a file in the way of a folder, a file beyond a limit: each is told, by both."""
    folder = folder_of(house, "mixed", 5)
    for name in ("closed", "taken"):
        (folder / name).mkdir()
        (folder / name / "inside").write_text(name)
    (folder / "long").write_bytes(house.random.randbytes(3_000_000))
    there = house.inbox / "mixed"
    there.mkdir()
    (there / "closed").mkdir(mode=0o500)
    (there / "taken").write_text("in the way")
    # Root without the right to pass over modes is as anybody.
    rights = "-dac_override,-dac_read_search"
    listener = Node(["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", "prlimit", "--fsize=2000000",
                     house.binary, "listen", "--json", "--realm-key", str(house.realm_key), "--listen", "127.0.0.1:0",
                     "-o", str(house.inbox)], house.environment("receiver"))
    house.nodes.append(listener)
    sender = house.send(listener.until("listening")["addresses"][0], folder)
    result = ended(sender, IO_ERROR, CANNOT_CREATE, DATA)
    failed = {failure["path"]: (failure["code"], failure["message"]) for failure in result["failed"]}
    assert sorted(failed) == ["mixed/closed/inside", "mixed/long", "mixed/taken", "mixed/taken/inside"], failed
    assert all(message.startswith("the receiver: ") for _, message in failed.values()), failed
    assert [failed[path][0] for path in sorted(failed)] == ["ioError", "noSpace", "badName", "badName"], failed
    assert result["files"] == 5, result
    for number in range(5):
        assert_same(folder / str(number), there / str(number))
    assert not [path for path in house.inbox.rglob(".*")], "something is left over"
    end = listener.until("transfer")
    assert end["code"] != "ok", end


def files_of_the_kernel_arrive_whole(house):
    _, address = house.listen()
    paths = ["/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/cpuinfo", "/proc/kallsyms"]
    for path in paths:
        house.sent(address, path)
        arrived = (house.inbox / pathlib.Path(path).name).read_bytes()
        if path != "/proc/cpuinfo":  # its frequencies change
            assert arrived == pathlib.Path(path).read_bytes(), path
        assert len(arrived) > 10, path


# Sizes as people see them (D17): files that change.

def a_log_that_grows_is_sent_as_long_as_it_was(house):
    source = house.source("growing.log", 40 * 1024 * 1024)
    before = source.read_bytes()
    _, address = house.listen()
    stop = threading.Event()

    def write():
        with open(source, "ab", buffering=0) as log:
            while not stop.wait(0.002):
                log.write(b"one more line\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        house.sent(address, source)
    finally:
        stop.set()
        writer.join()
    arrived = (house.inbox / source.name).read_bytes()
    assert arrived[:len(before)] == before and source.read_bytes().startswith(arrived), len(arrived)


def a_file_that_shrinks_is_a_failure_of_that_file(house):
    folder = house.folder / "shrinking"
    folder.mkdir()
    block = house.random.randbytes(1024 * 1024)
    with open(folder / "large", "wb") as file:
        for _ in range(1024):
            file.write(block)
    (folder / "small").write_text("small")
    _, address = house.listen()
    sender = house.send(address, folder)
    while sender.until("progress")["bytes"] == 0:
        pass
    os.truncate(folder / "large", 1000)
    result = ended(sender, TRY_AGAIN)
    assert [failure["code"] for failure in result["failed"]] == ["changed"], result
    assert "shorter" in sender.text(), sender.text()
    assert (house.inbox / "shrinking" / "small").read_text() == "small"


TESTS = [
    small_files_at_the_usual_descriptor_limit, a_folder_arrives_with_sixty_four_descriptors,
    ten_thousand_files_at_four_thousand_descriptors, many_folders_at_once_share_the_descriptors,
    a_thousand_folders_on_one_line, names_that_cannot_travel_are_failures,
    one_missing_name_of_many_is_told_and_the_rest_arrives, one_unreadable_file_does_not_stop_a_folder,
    what_the_receiver_cannot_store_does_not_stop_the_rest, files_of_the_kernel_arrive_whole, a_log_that_grows_is_sent_as_long_as_it_was,
    a_file_that_shrinks_is_a_failure_of_that_file,
]
