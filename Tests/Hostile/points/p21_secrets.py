"""Points 21 and 23: where keys lie, and what a second process of an identity gives away."""

import os
import resource

from hostile.links import UDPLink


def writable_maps(pid):
    """(start, end, flags) of the process's private writable memory."""
    found, current = [], None
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as file:
        for line in file:
            head = line.split()
            if "-" in head[0] and len(head) > 1 and "r" == head[1][0]:
                start, end = (int(one, 16) for one in head[0].split("-"))
                current = (start, end)
            elif head[0] == "VmFlags:" and current:
                found.append((*current, head[1:]))
                current = None
    return found


def places(pid, secret):
    """Where `secret` lies in memory that a core dump would hold."""
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, flags in writable_maps(pid):
            if "dd" in flags or "io" in flags or end - start > 1 << 30:
                continue
            try:
                memory.seek(start)
                held = memory.read(end - start)
            except OSError:
                continue
            at = held.find(secret)
            while at >= 0:
                found.append(start + at)
                at = held.find(secret, at + 1)
    return found


def p21_keys_in_memory(lab):
    """The realm's keys lie in guarded memory only, also when they came by standard input."""
    digits = lab.house.realm_key.read_text().strip()
    key = bytes.fromhex(digits)
    for way in ("file", "stdin"):
        source = str(lab.house.realm_key) if way == "file" else "-"
        with open(lab.house.realm_key, "rb") as stdin:
            node = lab.house.start("keys", "listen", "--realm-key", source, "--no-port-mapping", "--listen",
                                   "127.0.0.1:0", "-o", lab.house.inbox, stdin=stdin)
            node.address = node.until("listening")["addresses"][0]
        lab.member(node)
        lab.loop.pump(0.3)
        for what, secret in (("realm key", key), ("realm key's digits", digits.encode()),
                             ("admission key", lab.realm.admission)):
            found = places(node.child.pid, secret)
            assert not found, f"the {what} (by {way}) lies open in {len(found)} places"
        node.kill()
        node.wait()


def p21_no_core(lab):
    """A node that dies leaves no picture of its memory, wherever the system lets processes leave one."""
    most = resource.getrlimit(resource.RLIMIT_CORE)[1] if os.geteuid() else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    node = lab.listen()
    with open(f"/proc/{node.child.pid}/limits", encoding="ascii") as file:
        core = next(line for line in file if line.startswith("Max core file size")).split()[4]
    assert core == "0", f"core dumps of {core} bytes are possible"


def p23_reset_tokens(lab):
    """Another process of an identity answers nothing with the first one's reset tokens."""
    node = lab.listen(home="shared")
    victim = lab.client(node)
    server = lab.server()
    other = lab.run("ping", "-c", "20", "-i", "300ms", server.address, home="shared")
    peer = server.wait_connection()
    assert peer.node_id == victim.node_id, "the processes have different identities"
    link, got = UDPLink(lab.loop, "127.0.0.5"), []

    class Owner:
        receive = staticmethod(lambda data, address: got.append(data))
        settle = staticmethod(lambda: None)

    link.owner = Owner
    for _ in range(10):
        # A packet of the victim's connection, at the other process.
        link.send(b"\x43" + victim.peer_id + os.urandom(80), peer.remote)
        lab.loop.pump(0.05)
    lab.loop.pump(0.3)
    other.kill()
    assert victim.reset_token, "there is no token to compare with"
    assert not any(one[-16:] == victim.reset_token for one in got), "the other process gave the token away"
