"""Moving one file between two processes on this machine: dep2p, openssl, scp."""

import filecmp
import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass

from measure import Failure, Process

CIPHER = "TLS_AES_128_GCM_SHA256"


@dataclass
class Copy:
    """One whole copy: wall seconds from the sender's start to the end of both commands, CPU seconds of each side."""

    wall: float
    sender_cpu: float
    receiver_cpu: float
    sender_peak_kib: int = 0
    receiver_peak_kib: int = 0

    @property
    def cpu(self):
        return self.sender_cpu + self.receiver_cpu


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for_port(port, process):
    """Until something listens on the TCP port, without connecting to it (s_server counts connections)."""
    wanted = f"0100007F:{port:04X}"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if process.child.poll() is not None:
            raise Failure(f"{process.argv[0]} ended before it listened")
        with open("/proc/net/tcp") as table:
            if any(line.split()[1] == wanted and line.split()[3] == "0A" for line in list(table)[1:]):
                return
        time.sleep(0.005)
    raise Failure(f"{process.argv[0]} does not listen on port {port}")


def check_same(source, target):
    if not filecmp.cmp(source, target, shallow=False):
        raise Failure(f"{target} differs from {source}")
    os.unlink(target)


def check_same_folder(source, target):
    """Of many small files: all names, and every hundredth file's bytes."""
    ours, theirs = ({path.relative_to(top): path for path in pathlib.Path(top).rglob("*") if path.is_file()}
                    for top in (source, target))
    if ours.keys() != theirs.keys():
        raise Failure(f"{target} has {len(theirs)} files of {len(ours)}")
    for name in sorted(ours)[::100]:
        if ours[name].read_bytes() != theirs[name].read_bytes():
            raise Failure(f"{theirs[name]} differs from {ours[name]}")
    shutil.rmtree(target)


class Tar:
    """`tar` packing into a pipe and `tar` unpacking from it: no encryption, no hashes, no fsync."""

    name = "tar | tar"

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def copy(self, source):
        target = self.folder / "tar.out"
        target.mkdir()
        read, write = os.pipe()
        started = time.monotonic()
        unpacking = Process(["tar", "-xf", "-", "-C", target], stdin=read)
        packing = Process(["tar", "-cf", "-", "-C", source.parent, source.name], stdout=write)
        os.close(read)
        os.close(write)
        sent, received = packing.succeed(), unpacking.succeed()
        wall = time.monotonic() - started
        check_same_folder(source, target / source.name)
        shutil.rmtree(target)
        return Copy(wall, sent.cpu, received.cpu)


class TarOverTLS:
    """`tar` into `openssl s_client`, and `tar` out of `openssl s_server`: the same over a connection of this machine that
    encrypts; no hashes, no fsync, no receipts."""

    name = "tar | openssl | tar"

    def __init__(self, folder, openssl):
        self.folder, self.openssl = pathlib.Path(folder), openssl

    def copy(self, source):
        target, port = self.folder / "tar-tls.out", free_port()
        target.mkdir()
        arriving, arrive = os.pipe()
        server = self.openssl.serve(port, arrive)
        os.close(arrive)
        started = time.monotonic()
        unpacking = Process(["tar", "-xf", "-", "-C", target], stdin=arriving)
        leaving, leave = os.pipe()
        packing = Process(["tar", "-cf", "-", "-C", source.parent, source.name], stdout=leave)
        client = self.openssl.client(port, leaving)
        for end in (arriving, leaving, leave):
            os.close(end)
        packed, sent, received, unpacked = packing.succeed(), client.succeed(), server.succeed(), unpacking.succeed()
        wall = time.monotonic() - started
        self.openssl.close_input()
        check_same_folder(source, target / source.name)
        shutil.rmtree(target)
        return Copy(wall, packed.cpu + sent.cpu, received.cpu + unpacked.cpu)


class OpenSSL:
    """`openssl s_client` piping a file into `openssl s_server` (TLS 1.3, no commands)."""

    name = "openssl s_client | s_server"

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.key, self.certificate = self.folder / "tls.key", self.folder / "tls.crt"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=benchmark", "-keyout", self.key, "-out", self.certificate],
            check=True, stderr=subprocess.DEVNULL)

    def serve(self, port, output, accepts=1):
        # s_server ends when its standard input does: it gets the read end of a pipe that stays open.
        self._read, self._write = os.pipe()
        server = Process(
            ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", self.certificate, "-key", self.key,
             "-tls1_3", "-ciphersuites", CIPHER, "-quiet", "-naccept", str(accepts)],
            stdin=self._read, stdout=output, watch_memory=True)
        wait_for_port(port, server)
        return server

    def client(self, port, source):
        return Process(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3", "-ciphersuites", CIPHER, "-quiet",
             "-no_ign_eof", "-nocommands"], stdin=source, watch_memory=True)

    def close_input(self):
        os.close(self._read)
        os.close(self._write)

    def copy(self, source):
        target, port = self.folder / "openssl.out", free_port()
        with open(target, "wb") as output, open(source, "rb") as data:
            server = self.serve(port, output)
            started = time.monotonic()
            client = self.client(port, data)
            sent = client.succeed()
            received = server.succeed()
            wall = time.monotonic() - started
            self.close_input()
        check_same(source, target)
        return Copy(wall, sent.cpu, received.cpu, sent.peak_kib, received.peak_kib)

    def message(self, port, path):
        """One whole client process that hands over a short message; seconds."""
        with open(path, "rb") as data:
            started = time.monotonic()
            self.client(port, data).succeed()
            return time.monotonic() - started


class SecureCopy:
    """`scp` as a user types it, to a private sshd on loopback."""

    name = "scp"

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) / "ssh"
        self.folder.mkdir(mode=0o700)
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / key], check=True)
        shutil.copy(self.folder / "user.pub", self.folder / "authorized")
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True) if os.geteuid() == 0 else None

    def server(self, address, port):
        """The command of an sshd that lets this user in, once it is at that address."""
        config = self.folder / "config"
        config.write_text(
            f"ListenAddress {address}:{port}\nHostKey {self.folder}/host\nAuthorizedKeysFile {self.folder}/authorized\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nPidFile none\n"
            "Subsystem sftp internal-sftp\n")
        return ["/usr/sbin/sshd", "-D", "-e", "-f", config]

    def client(self, address, port, source, target):
        return ["scp", "-q", "-F", "none", "-P", str(port), "-i", self.folder / "user",
                "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                source, f"{getpass.getuser()}@{address}:{target}"]

    def copy(self, source):
        target, port = self.folder / "scp.out", free_port()
        server = Process(self.server("127.0.0.1", port))
        wait_for_port(port, server)
        started = time.monotonic()
        client = Process(self.client("127.0.0.1", port, source, target))
        sent = client.succeed()
        wall = time.monotonic() - started
        self._wait_for_session(server.pid)
        received = server.stop()
        check_same(source, target)
        return Copy(wall, sent.cpu, received.cpu)

    def _wait_for_session(self, pid):
        """sshd's CPU time holds its session's once that has been reaped."""
        for _ in range(400):
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                if not file.read().strip():
                    return
            time.sleep(0.005)
        raise Failure("the ssh session does not end")


class DeP2P:
    """The dep2p binary: a realm, a listener and senders, each with its own identity."""

    name = "dep2p"

    def __init__(self, binary, folder):
        self.binary = str(binary)
        self.folder = pathlib.Path(folder)
        self.realm_key = self.folder / "realm.key"
        subprocess.run([self.binary, "realm-key", "-o", self.realm_key], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        for side in ("sender", "receiver"):
            Process([self.binary, "keygen", "-o", self.identity(side)], env=self.environment(side)).succeed()

    def identity(self, side):
        return self.folder / f"{side}.pem"

    def environment(self, side):
        home = self.folder / f"{side}-home"
        home.mkdir(exist_ok=True)
        keep = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
        return keep | {"HOME": str(home)}

    def command(self, side, *arguments):
        name, *rest = map(str, arguments)
        return [self.binary, name, "--realm-key", str(self.realm_key), "--identity", str(self.identity(side)), *rest]

    def listen(self, *arguments):
        """Starts `dep2p listen`; returns the process and the address to send to once it is ready."""
        import json
        process = Process(
            self.command("receiver", "listen", "--json", "--listen", "127.0.0.1:0", *arguments),
            env=self.environment("receiver"), stdout=subprocess.PIPE, watch_memory=True)
        for line in process.child.stdout:
            event = json.loads(line)
            if event.get("type") == "listening":
                # Reports of files are not read any more: nothing may wait for room in the pipe.
                threading.Thread(target=process.child.stdout.read, daemon=True).start()
                return process, event["addresses"][0]
            if event.get("type") == "result":
                break
        process.wait(timeout=10)
        raise Failure(f"dep2p listen did not start: exit status {process.usage.status}\n  " + "\n  ".join(process._errors))

    def send(self, address, *arguments, **options):
        return Process(self.command("sender", "send", "--to", address, *arguments), env=self.environment("sender"),
                       watch_memory=True, **options)

    def copy(self, source, check=check_same):
        inbox = self.folder / "inbox"
        shutil.rmtree(inbox, ignore_errors=True)
        inbox.mkdir()
        receiver, address = self.listen("-o", inbox, "--once", "-q")
        started = time.monotonic()
        sent = self.send(address, "-q", source).succeed()
        received = receiver.succeed()
        wall = time.monotonic() - started
        target = inbox / os.path.basename(source)
        if check is not None:
            check(source, target)
        shutil.rmtree(inbox)
        return Copy(wall, sent.cpu, received.cpu, sent.peak_kib, received.peak_kib)

    def message(self, address, text="build 512 is green"):
        started = time.monotonic()
        self.send(address, "-q", "-m", text).succeed()
        return time.monotonic() - started

    def ping(self, address):
        started = time.monotonic()
        Process(self.command("sender", "ping", "-q", "-c", "1", address), env=self.environment("sender")).succeed()
        return time.monotonic() - started
