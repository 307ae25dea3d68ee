"""The unit of the manual page: as systemd reads it, and the program under its rules, without systemd (issue 10.1)."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from nodes import OK, Node, assert_same, need_root

# A tenth of systemd's points; below 2.0 it calls a service “OK”.
EXPOSURE = "15"


def unit(house, command):
    """The unit's lines, of the page that this very program renders."""
    pages = house.folder / "pages"
    pages.mkdir(exist_ok=True)
    assert house.run("__render", pages).returncode == OK
    page = (pages / "man" / f"dep2p-{command}.1").read_text()
    listing = re.search(r"\.nf\n(.*?\[Unit\].*?)\.fi", page, re.S).group(1)
    for escape, text in ((r"\fB", ""), (r"\fR", ""), (r"\-", "-"), (r"\(ti", "~"), (r"\e", "\\"), (r"\&", "")):
        listing = listing.replace(escape, text)
    return listing.splitlines()


def settings(lines, key):
    return [line.split("=", 1)[1] for line in lines if line.startswith(key + "=")]


def the_unit_is_one_and_exposes_little(house):
    for command in ("start", "relay"):
        lines = unit(house, command)
        path = house.folder / f"dep2p-{command}.service"
        path.write_text("\n".join(lines).replace("/usr/bin/dep2p", str(pathlib.Path(house.binary).resolve())) + "\n")
        for arguments in (["verify"], ["security", "--offline=true", f"--threshold={EXPOSURE}"]):
            done = subprocess.run(["systemd-analyze", *arguments, path], capture_output=True, text=True,
                                  env=os.environ | {"SYSTEMD_PAGER": "", "LC_ALL": "C"})
            assert done.returncode == OK, (command, done.stdout, done.stderr)
            assert "Unknown" not in done.stderr, done.stderr


def calls(name):
    """The system calls of one of systemd's sets, and of the sets in it."""
    listed = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    found = set()
    for line in listed.stdout.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            found |= calls(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found


def the_program_works_under_the_rules_of_its_unit(house):
    """Another user, no capabilities, nothing writable but its folder, the unit's filter of system calls."""
    need_root("becomes another user in a mount namespace of its own")
    lines = unit(house, "start")
    allowed = set()
    for words in settings(lines, "SystemCallFilter"):
        named = set().union(*(calls(word) for word in words.lstrip("~").split()))
        allowed = allowed - named if words.startswith("~") else allowed | named
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dep2p-service-", dir="/tmp"))
    try:
        folder.chmod(0o711)
        state, credentials, binary = folder / "state", folder / "credentials", folder / "dep2p"
        shutil.copy(house.binary, binary)
        binary.chmod(0o755)
        for path in (state, credentials):
            path.mkdir()
        shutil.copy(house.realm_key, credentials / "realm.key")
        (credentials / "realm.key").chmod(0o400)
        for path in (state, credentials, credentials / "realm.key"):
            shutil.chown(path, "nobody", "nogroup")
        environment = {"PATH": os.environ["PATH"], "XDG_DATA_HOME": str(state), "STATE_DIRECTORY": str(state / "dep2p"),
                       "CREDENTIALS_DIRECTORY": str(credentials)}
        # Where the other user can read it: the house may stand in root's own folder.
        confined = folder / "confined.py"
        shutil.copy(pathlib.Path(__file__).with_name(confined.name), confined)
        confined.chmod(0o644)
        # The remount first, as root; then the user and the filter.
        script = ('mount -o remount,bind,ro / && mount --bind "$1" "$1" && mount -o remount,bind,rw "$1" && shift && '
                  'exec "$@"')
        node = Node(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", str(state), "setpriv", "--reuid=nobody",
             "--regid=nogroup", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "python3",
             "-B", str(confined), " ".join(sorted(allowed)), str(binary), "start", "--json",
             "--listen", "127.0.0.1:0", "-o", str(state / "inbox")], environment)
        house.nodes.append(node)
        address = node.until("listening")["addresses"][0]
        source = house.source("file.bin", 3_000_000)
        house.sent(address, source)
        house.sent(address, "-m", "hello")
        assert_same(source, state / "inbox" / source.name)
        assert (state / "dep2p" / "identity.pem").stat().st_mode & 0o777 == 0o600
        assert [event for event in node.seen if event["type"] == "storage"] == [], node.seen
        node.kill(signal.SIGHUP)
        assert node.until("reload")["ok"]
        node.kill(signal.SIGTERM)
        assert node.wait() == OK, node.text()
    finally:
        shutil.rmtree(folder)


TESTS = [the_unit_is_one_and_exposes_little, the_program_works_under_the_rules_of_its_unit]
