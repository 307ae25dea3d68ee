"""Point 13: descriptors are few and waited for."""

import os
import resource
import subprocess
import sys

from hostile.gateway import Gateway
from hostile.node import alive, assert_alive


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


def inheriting(lab, count):
    """From now on nodes start with `count` descriptors open, as a process does that was given them."""
    wrapper = lab.house.folder / "inheriting"
    wrapper.write_text(f"""#!{sys.executable}
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({count + 1000}, {count + 1000}))
null = os.open("/dev/null", os.O_RDONLY)
for number in range(10, {count}):
    os.dup2(null, number)
os.execv({str(lab.house.binary)!r}, ["dep2p", *sys.argv[1:]])
""")
    os.chmod(wrapper, 0o755)
    lab.house.binary = str(wrapper)


def mapping_node(lab):
    return lab.house.start("receiver", "listen", "--realm-key", lab.house.realm_key, "--listen", "10.77.0.1:0", "-o",
                           lab.house.inbox)


def p13_mapping_with_many_descriptors(lab):
    """A router that is asked for a port by a node with more descriptors than select(2) knows."""
    inheriting(lab, 1100)
    gateway = Gateway()
    node = mapping_node(lab)
    mapping = node.until("port_mapping", 25)
    assert mapping["protocol"] == "upnp" and mapping["port"] > 0, mapping
    node.child.terminate()
    assert node.wait() == 0
    assert gateway.actions[-1] == "DeletePortMapping", f"the port stays open: {gateway.actions}"


def p13_silent_gateway_with_many_descriptors(lab):
    """The same where the router never answers a connection: that wait is select's."""
    inheriting(lab, 1100)
    subprocess.run("ip neighbour add 10.77.0.99 lladdr 02:00:00:00:00:99 dev outside".split(), check=True)
    gateway = Gateway(control="http://10.77.0.99:5000")
    node = mapping_node(lab)
    lab.loop.until(lambda: "describe" in gateway.actions or not alive(node), 25, "a look at the device")
    # Three seconds each connection.
    lab.loop.holds(lambda: not alive(node), 10)
    assert_alive(node)
