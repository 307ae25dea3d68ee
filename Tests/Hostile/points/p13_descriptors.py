"""Point 13: descriptors are few and waited for."""

import resource

from hostile.node import assert_alive


def p13_few_descriptors(lab):
    """A folder of 600 files at a limit of 64."""
    folder = lab.house.folder / "many"
    folder.mkdir()
    for number in range(600):
        (folder / f"{number}.txt").write_bytes(b"%d" % number * 50)
    node = lab.listen()
    resource.prlimit(node.child.pid, resource.RLIMIT_NOFILE, (64, 64))
    send = lab.send(node.address, folder)
    resource.prlimit(send.child.pid, resource.RLIMIT_NOFILE, (64, 64))
    status = lab.finished(send, 50)
    assert_alive(node)
    assert status == 0, f"send ended with {status}: {send.text()[-300:]}"
    found = sorted(path.name for path in (lab.house.inbox / "many").iterdir())
    assert len(found) == 600, f"{len(found)} of 600 files arrived"


def p13_many_folders(lab):
    """Fourteen folders at once at a limit that one of them fills."""
    folders = []
    for number in range(14):
        folder = lab.house.folder / f"folder-{number}"
        folder.mkdir()
        for name in range(100):
            (folder / f"{name}.txt").write_bytes(b"x" * 300)
        folders.append(folder)
    node = lab.listen()
    resource.prlimit(node.child.pid, resource.RLIMIT_NOFILE, (128, 128))
    sends = [lab.send(node.address, folder, home=f"sender-{number}") for number, folder in enumerate(folders)]
    status = [lab.finished(send, 60) for send in sends]
    assert_alive(node)
    assert status == [0] * 14, f"the sends ended with {status}"
