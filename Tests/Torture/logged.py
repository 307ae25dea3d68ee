"""What a node writes down: at every level one line an event, in either form, and never a secret (issue 10.11)."""

import base64
import json
import re
import signal
import subprocess

from nodes import OK, USAGE, Node

VERBOSITIES = {"quiet": ("-q",), "usual": (), "verbose": ("-v",), "very": ("-vv",)}
FORMS = ("text", "json")
# Others listen and dial there, so that their addresses show.
OTHERS = "127.0.0.9"
SECRET_TEXT = "nobody but the receiver reads this"


def secrets(house, home):
    """The realm key and the node's private key, in the forms in which they could slip out."""
    key = house.realm_key.read_text().strip()
    pem = next((house.folder / f"home-{home}").glob("**/identity.pem")).read_text()
    der = base64.b64decode("".join(line for line in pem.splitlines() if "-----" not in line))
    seed = der[-32:]
    found = {SECRET_TEXT, key, key.upper(), base64.b64encode(bytes.fromhex(key)).decode().rstrip("="), seed.hex(),
             seed.hex().upper(), base64.b64encode(seed).decode().rstrip("="), pem.splitlines()[1]}
    for value in (bytes.fromhex(key), seed):
        found.add(", ".join(map(str, value[:8])))
    return found


def run_node(house, home, options):
    """A node that is met, sent to, asked by a stranger, and ends; and one that sends. What both write to standard error."""
    node = Node([house.binary, "start", "--json", "--realm-key", str(house.realm_key), "--listen", "127.0.0.1:0", "-o",
                 str(house.folder / f"inbox-{home}"), *options], house.environment(home))
    house.nodes.append(node)
    address = node.until("listening")["addresses"][0]
    source = house.source(f"file-{home}", 200_000)
    said = b""
    for arguments in ((source,), ("-m", SECRET_TEXT)):
        done = house.run("send", *options, "--realm-key", house.realm_key, "--listen", f"{OTHERS}:0", "--to", address,
                         *arguments, home=f"{home}-sender")
        assert done.returncode == OK, done.stderr
        said += done.stderr
    stranger = house.folder / "stranger.key"
    if not stranger.exists():
        assert house.run("realm-key", "-o", stranger).returncode == OK
    refused = house.run("send", *options, "--realm-key", stranger, "--listen", f"{OTHERS}:0", "--ephemeral", "--to", address,
                        "-m", "let me in", home=f"{home}-stranger")
    assert refused.returncode != OK
    node.kill(signal.SIGTERM)
    assert node.wait() == OK, node.text()
    return node.errors.decode(), (said + refused.stderr).decode()


def no_level_tells_a_secret(house):
    for form in FORMS:
        for name, options in VERBOSITIES.items():
            home = f"{form}-{name}"
            told, sent = run_node(house, home, ("--log-format", form, *options))
            for home in (home, f"{home}-sender"):
                for secret in secrets(house, home):
                    assert secret not in told + sent, (home, secret, told, sent)
            lines = told.splitlines()
            if name == "quiet":
                assert not lines, told
            if form == "json":
                shown = [json.loads(line) for line in lines + sent.splitlines()]
                for line in shown:
                    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]), line
                    assert line["message"] and line["level"] in ("error", "warning", "notice", "debug", "trace"), line
                levels = {line["level"] for line in shown}
                assert ("debug" in levels) == (name in ("verbose", "very")) and ("trace" in levels) == (name == "very"), levels
                # Where others are is told only to who asks for more.
                for line in (json.loads(line) for line in lines):
                    assert OTHERS not in json.dumps(line) or line["level"] in ("debug", "trace"), line
            elif name in ("quiet", "usual"):
                assert OTHERS not in told, told
            if name in ("verbose", "very"):
                for event in ("connected", "admitted", "transfer offered", "transfer ended", "disconnected"):
                    assert event in told, (event, told)
                assert OTHERS in told, told


def an_event_is_one_line_with_fields(house):
    told, _ = run_node(house, "one", ("-v",))
    line = next(line for line in told.splitlines() if line.startswith("dep2p: connected "))
    assert re.fullmatch(r"dep2p: connected address=127\.0\.0\.9:\d+ connection=\d+ node=12D3Koo\w+ path=direct", line), line
    done = house.run("ping", "--log-format", "xml", "/ip4/127.0.0.1/udp/1/quic-v1")
    assert done.returncode == USAGE and b"xml" in done.stderr, done
    done = house.run("keygen", "--log-format", "json", "--show", "/nonexistent")
    line = json.loads(done.stderr)
    assert line["level"] == "error" and "/nonexistent" in line["message"], line
    # A reader that goes is nobody's loss.
    node = subprocess.Popen([house.binary, "start", "-v", "--ephemeral", "--listen", "127.0.0.1:0"],
                            env=house.environment("pipe"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        assert node.stderr.readline()
        node.stderr.close()
        again = house.run("ping", "-c", "1", "--timeout", "1s", "/ip4/127.0.0.1/udp/1/quic-v1")
        assert again.returncode != OK and node.poll() is None
        node.terminate()
        assert node.wait(30) == OK
    finally:
        node.kill()
        node.wait()


TESTS = [no_level_tells_a_secret, an_event_is_one_line_with_fields]
