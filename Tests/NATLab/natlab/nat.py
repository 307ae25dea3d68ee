"""The rule sets of the lab's routers, and what each must behave like.

A translating router learns from what the inside sends: `cone` maps an external port to its inside owner, `seen` holds
the endpoints written to. Both are keyed by the inside port, which masquerading keeps, so that mappings are independent
of the endpoint. What comes in from outside is let through by the table's filtering rule. `symmetric` draws a random
port for each endpoint instead, and `sequential` takes the next one for each address.
"""

from dataclasses import dataclass

INDEPENDENT = "endpoint-independent"
ADDRESS = "address-dependent"
PORT = "address-and-port-dependent"


@dataclass(frozen=True)
class Kind:
    """A kind of site, and the behaviour that the self-test must see there (RFC 4787's terms; None: no such thing)."""

    name: str
    ipv4: bool = True
    ipv6: bool = False
    translated: bool = True
    routers: int = 1
    # The network between a home router and its provider's NAT.
    carrier: str = "100.64.0"
    mapping: str = INDEPENDENT
    filtering: str = PORT
    hairpin: bool = True
    udp: bool = True
    tcp_ports: tuple = ()
    # A port that somebody has had forwarded by hand, UDP, to each host of its own: the first host's; the next has the next.
    forwarded: int = 0


KINDS = {
    kind.name: kind
    for kind in [
        Kind("public", ipv6=True, translated=False, routers=0, filtering=INDEPENDENT),
        Kind("full-cone", filtering=INDEPENDENT),
        Kind("address-restricted", filtering=ADDRESS),
        Kind("port-restricted"),
        Kind("symmetric", mapping=PORT, hairpin=False),
        Kind("sequential", mapping=ADDRESS, hairpin=False),
        Kind("double-nat", routers=2),
        Kind("no-hairpin", hairpin=False),
        Kind("udp-blocked", udp=False),
        Kind("only-443", udp=False, tcp_ports=(443,)),
        Kind("ipv6-only", ipv4=False, ipv6=True, translated=False),
        Kind("dual-stack", ipv6=True),
        Kind("forwarded", forwarded=4001),
        Kind("forwarded-symmetric", mapping=PORT, hairpin=False, forwarded=4001),
    ]
}

TIMEOUT = "120s"
def table(kind, inside, outside, external):
    """The nftables rules of a router: device `inside` to the site, `outside` to the world at address `external`."""
    learns = kind.mapping == INDEPENDENT and (kind.hairpin or kind.filtering != PORT)
    parts = [filter_table(kind, inside, outside, external)]
    if kind.ipv4 and kind.translated:
        if kind.mapping == ADDRESS:
            parts.append(sequential_table(outside, external))
        else:
            parts.append(cone_table(kind, inside, outside, external) if learns else masquerade_table(kind, outside))
        if kind.forwarded:
            parts.append(forward_table(kind, external))
    return "\n".join(parts)


def cone_table(kind, inside, outside, external):
    admitted = [f'iifname "{outside}" ip daddr {external} {known(kind, "saddr")} dnat ip to udp dport map @cone']
    if kind.hairpin:
        # The sender is inside too: it is known by its external endpoint, whose port is its own.
        admitted.append(f'iifname "{inside}" ip daddr {external} {known(kind, "daddr")} dnat ip to udp dport map @cone')
    return f"""
table ip lab_nat {{
    map cone {{ type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout {TIMEOUT}; size 65535; }}
    set seen_address {{ type inet_service . ipv4_addr; flags dynamic,timeout; timeout {TIMEOUT}; size 65535; }}
    set seen {{ type inet_service . ipv4_addr . inet_service; flags dynamic,timeout; timeout {TIMEOUT}; size 65535; }}
    chain learn {{
        type filter hook prerouting priority mangle;
        iifname != "{inside}" return
        meta l4proto != udp return
        update @cone {{ udp sport : ip saddr . udp sport }}
        update @seen_address {{ udp sport . ip daddr }}
        update @seen {{ udp sport . ip daddr . udp dport }}
    }}
    chain admit {{
        type nat hook prerouting priority dstnat;
        {(chr(10) + "        ").join(admitted)}
    }}
    chain translate {{
        type nat hook postrouting priority srcnat;
        oifname "{outside}" masquerade
        iifname "{inside}" oifname "{inside}" ct status dnat snat to {external}
    }}
}}
"""


def known(kind, address):
    """Matches senders that the owner of the external port has written to."""
    return {
        INDEPENDENT: "",
        ADDRESS: f"udp dport . ip {address} @seen_address",
        PORT: f"udp dport . ip {address} . udp sport @seen",
    }[kind.filtering]


def masquerade_table(kind, outside):
    flags = "random,fully-random" if kind.mapping == PORT else ""
    return f"""
table ip lab_nat {{
    chain translate {{
        type nat hook postrouting priority srcnat;
        oifname "{outside}" masquerade {flags}
    }}
}}
"""


# Of a sequence's ports the first byte; they are counted by the second.
SEQUENCE = 0x75


def sequential_table(outside, external):
    """The next port in sequence for each address that a socket inside writes to, whatever the port there. The count is in the
    machine's order of bytes, and a port's first byte comes first: hence the shift, on machines whose last byte comes first."""
    return f"""
table ip lab_nat {{
    map given {{
        typeof ip saddr . udp sport . ip daddr : udp sport
        flags dynamic,timeout; timeout {TIMEOUT}; size 65535;
    }}
    chain count {{
        type filter hook postrouting priority mangle;
        oifname != "{outside}" return
        meta l4proto != udp return
        ip saddr . udp sport . ip daddr @given return
        add @given {{ ip saddr . udp sport . ip daddr : ((numgen inc mod 256) << 8) | {SEQUENCE} }}
    }}
    chain translate {{
        type nat hook postrouting priority srcnat;
        oifname "{outside}" meta l4proto udp snat ip to {external} : ip saddr . udp sport . ip daddr map @given
        oifname "{outside}" masquerade
    }}
}}
"""


def forward_table(kind, external):
    """Before what the router has learned: a port that is forwarded is nobody else's, whether from outside or from inside."""
    ports = ", ".join(f"{kind.forwarded + host} : 192.168.1.{10 + host}" for host in range(2))
    return f"""
table ip lab_forward {{
    chain admit {{
        type nat hook prerouting priority dstnat - 1;
        ip daddr {external} meta l4proto udp dnat ip to udp dport map {{ {ports} }}
    }}
}}
"""


def filter_table(kind, inside, outside, external):
    """What passes: answers, what the inside may send, what was admitted. Strangers are dropped before they are
    tracked, as a home router does; tracking them would take the external port from its owner."""
    if kind.udp:
        outbound = "accept"
    elif kind.tcp_ports:
        outbound = f"tcp dport {{ {', '.join(map(str, kind.tcp_ports))} }} accept"
    else:
        outbound = "meta l4proto != udp accept"
    return f"""
table inet lab_filter {{
    chain forward {{
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname "{inside}" oifname "{outside}" {outbound}
        ct status dnat accept
        meta l4proto icmpv6 accept
    }}
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname "{outside}" ct state established,related accept
        iifname "{outside}" meta l4proto {{ icmp, icmpv6 }} accept
        iifname "{outside}" drop
        iifname "{inside}" ip daddr {external} meta l4proto udp drop
    }}
}}
"""

