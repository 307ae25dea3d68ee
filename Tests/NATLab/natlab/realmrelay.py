"""A public member of a realm relays for those behind NATs, which know nothing but it and the realm key (issue 10.8)."""

from .drivers import DeP2P
from .topology import Lab

# A relay that is there is used within seconds; the rest is for the machine that runs the lab.
WAIT = 30


def check(binary, report):
    DeP2P.binary = binary
    wrong = 0
    for kinds in (("symmetric", "symmetric"), ("port-restricted", "port-restricted")):
        with Lab() as lab:
            for name, differences in run(lab, kinds):
                wrong += bool(differences)
                report({"type": "realm-relay", "kind": " and ".join(kinds), "check": name, "ok": not differences,
                        "differences": differences})
    return wrong


def run(lab, kinds):
    driver = DeP2P(lab)
    (v4, _), key = lab.relay_addresses[0], ("--realm-key", driver.realm)
    public = driver.dep2p(lab.relays[0], "start", *key, "--preset", "server", "--listen", f"{v4}:4001")
    address = driver.ready(public, "the public member")["addresses"][0]
    sites = [lab.add_site(kind) for kind in kinds]
    hidden = driver.dep2p(sites[0].hosts[0], "start", *key, "--no-port-mapping", "--peer", address)
    node = driver.ready(hidden, "the hidden member")["node_id"]
    serving = public.next({"realm_relay"}, WAIT)
    yield "it serves", None if serving and serving[1]["state"] == "serving" else f"no: {seen(public)}"
    relayed = reserved(hidden, address)
    yield "the hidden member is reached through it", None if relayed else f"no: {seen(hidden)}"
    if not relayed:
        return
    way = f"{address}/p2p-circuit/p2p/{node}"
    waits = ("--until-direct", "-c", "1000", "-i", "50ms") if kinds[0] != "symmetric" else ("-c", "3")
    pings = driver.dep2p(sites[1].hosts[0], "ping", *key, *waits, "--timeout", f"{WAIT}s", way)
    result = (pings.next({"result"}, 2 * WAIT) or (0, {}))[1]
    yield f"a ping, {result.get('path')}, {result.get('relayed_bytes')} bytes relayed", (
        None if result.get("ok") and result["relayed_bytes"] > 0 and "relay(" in replies(pings)[0] else seen(pings))
    # Whoever is not of the realm is told that there is nothing here for him.
    stranger = driver.dep2p(sites[1].hosts[0], "ping", "--ephemeral", "-c", "1", "--timeout", "5s", way)
    refused = (stranger.next({"result"}, WAIT) or (0, {}))[1]
    yield "a stranger is refused", None if refused.get("ok") is False else seen(stranger)


def reserved(hidden, address):
    while found := hidden.next({"relay"}, WAIT):
        if found[1]["state"] == "reserved" and found[1]["relay"].startswith(address):
            return True
    return False


def replies(events):
    return [event["path"] for _, event in events.seen if event["type"] == "reply"] or ["none"]


def seen(events):
    return [event for _, event in events.seen][-5:]
