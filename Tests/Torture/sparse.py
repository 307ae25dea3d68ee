"""Files with holes (field fault D17): on disks that they would never fit written out, interrupted, and where holes end."""

import hashlib
import os
import signal
import subprocess
import time

from nodes import OK, NeedsRoot, Node, assert_same
from refused import ended

MIB = 1024 * 1024
GIB = 1024 * MIB


def sparse(house, name, size, data):
    """A file of so many bytes with random data at the given places: offset, length."""
    path = house.folder / name
    path.parent.mkdir(exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(size)
        for offset, length in data:
            file.seek(offset)
            file.write(house.random.randbytes(length))
    return path


def extents(path):
    """Where its data lies, as the file system says."""
    with open(path, "rb") as file:
        size, position, found = os.fstat(file.fileno()).st_size, 0, []
        while position < size:
            try:
                start = os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError:
                break
            position = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            found.append((start, position))
        return found


def assert_same_data(source, target, room):
    """The same size and the same bytes wherever either has any, in at most so much room."""
    assert os.path.getsize(source) == os.path.getsize(target), (os.path.getsize(source), os.path.getsize(target))
    assert os.stat(target).st_blocks * 512 <= room, f"{target} takes {os.stat(target).st_blocks * 512} bytes"
    with open(source, "rb") as first, open(target, "rb") as second:
        for start, end in extents(source) + extents(target):
            for offset in range(start, end, MIB):
                length = min(MIB, end - offset)
                assert os.pread(first.fileno(), length, offset) == os.pread(second.fileno(), length, offset), offset


def a_sparse_file_larger_than_the_disk_arrives(house):
    """What is needed is what a file has, not how long it is; its zeros do not travel."""
    if os.geteuid() != 0:
        raise NeedsRoot("mounts a tmpfs of 4 MiB")
    small = house.folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", small], check=True)
    try:
        _, address = house.listen(inbox=small)
        tebibyte = 1024 * GIB
        image = sparse(house, "image", tebibyte, [(0, 100_000), (tebibyte // 3, 300_000), (tebibyte - 5000, 5000)])
        house.sent(address, image)
        assert_same_data(image, small / "image", MIB)
        empty = sparse(house, "empty", 200 * GIB, [])
        house.sent(address, empty)
        assert_same_data(empty, small / "empty", 0)
        # In a folder, beside others; and what does not fit by its data is refused, by the receiver.
        folder = sparse(house, "disks/a", 50 * GIB, [(GIB, 200_000)]).parent
        sparse(house, "disks/b", 50 * GIB, [(0, 10)])
        (folder / "plain").write_bytes(b"plain")
        house.sent(address, folder)
        for name in ("a", "b"):
            assert_same_data(folder / name, small / "disks" / name, MIB)
        full = sparse(house, "full", 50 * GIB, [(GIB, 5 * MIB)])
        sender = house.send(address, full)
        ended(sender, 73, 74)
        assert "the receiver: " in sender.text() and "are needed" in sender.text(), sender.text()
    finally:
        house.close()
        subprocess.run(["umount", small], check=True)


def a_sparse_file_goes_on_where_it_was_cut(house):
    """Either side is killed at any moment; holes are neither hashed byte by byte nor sent anew."""
    places = [(number * 20 * GIB + 12_345, 64 * MIB) for number in range(8)]
    source = sparse(house, "image", 200 * GIB, places)
    listener, address = house.listen()
    port = address.split("/udp/")[1].split("/")[0]
    resumed = 0
    for number in range(house.rounds):
        sender = house.send(address, source)
        while sender.until("progress")["bytes"] == resumed:
            pass
        time.sleep(house.random.uniform(0, 0.1))
        victim = house.random.choice([sender, listener])
        victim.kill(signal.SIGKILL)
        if victim is listener:
            sender.kill(signal.SIGKILL)
            listener.wait()
            listener, address = house.listen(port=port)
        sender.wait()
        if (house.inbox / source.name).exists():
            break
    # It may have arrived before who was killed was; then a line after it has begun another copy.
    has_arrived = (house.inbox / source.name).exists()
    if not has_arrived:
        house.sent(address, source)
    assert_same_data(source, house.inbox / source.name, 522 * MIB)
    if has_arrived:
        return
    # An empty journal of a listener that was killed goes with its age, as ReceiveFolderTests shows.
    left = {name: os.stat(house.inbox / name).st_size for name in os.listdir(house.inbox) if name != source.name}
    assert all(name.startswith(".dep2p-resume-") and size == 0 for name, size in left.items()), left


def once_takes_a_sparse_file(house):
    source = sparse(house, "image", 1024 * GIB, [(GIB, 10 * MIB)])
    listener, address = house.listen("--once")
    house.sent(address, source)
    assert listener.wait() == OK, listener.text()
    assert_same_data(source, house.inbox / source.name, 11 * MIB)


def zeros_are_written_to_standard_output(house):
    """A pipe has no holes; and a sender can't make its reader take more zeros than it sends."""
    source = sparse(house, "image", 300 * MIB, [(0, 10), (200 * MIB, MIB)])
    listener = subprocess.Popen(
        [house.binary, "listen", "--once", "--stdout", "--realm-key", house.realm_key, "--listen", "127.0.0.1:0"],
        env=house.environment("receiver"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    line = b""
    while b"/ip4/127" not in line:
        line = listener.stderr.readline()
        assert line, "no address"
    address = line.split(b"/ip4/127")[1].split()[0].decode()
    sender = house.send(f"/ip4/127{address}", source)
    digest, count = hashlib.sha256(), 0
    while part := listener.stdout.read(MIB):
        digest.update(part)
        count += len(part)
    assert sender.wait() == OK, sender.text()
    assert listener.wait() == OK
    listener.stdout.close()
    listener.stderr.close()
    with open(source, "rb") as file:
        assert count == 300 * MIB and digest.digest() == hashlib.file_digest(file, "sha256").digest()


def a_limit_on_file_sizes_names_the_side(house):
    """`ulimit -f` on the receiver: no signal ends it, for a file that is data and for one that is a hole."""
    listener = Node(["prlimit", f"--fsize={GIB}", house.binary, "listen", "--json", "--realm-key", str(house.realm_key),
                     "--listen", "127.0.0.1:0", "-o", str(house.inbox)], house.environment("receiver"))
    house.nodes.append(listener)
    address = listener.until("listening")["addresses"][0]
    sender = house.send(address, sparse(house, "image", 2 * GIB, [(0, 10)]))
    ended(sender, 73, 74)
    assert "too large" in sender.text() and "the receiver" in sender.text(), sender.text()
    plain = house.source("plain", 100_000)
    house.sent(address, plain)
    assert_same(plain, house.inbox / plain.name)


TESTS = [
    a_sparse_file_larger_than_the_disk_arrives,
    a_sparse_file_goes_on_where_it_was_cut,
    once_takes_a_sparse_file,
    zeros_are_written_to_standard_output,
    a_limit_on_file_sizes_names_the_side,
]
