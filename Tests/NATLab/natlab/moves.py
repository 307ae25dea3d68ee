"""What happens to one machine: its network goes, narrows or becomes another, it stands still, its relays restart."""

import signal
import time

from . import topology

# Longer than a peer takes to count as gone, shorter than a transfer is waited for.
OUTAGE = 12


def host_rules(site, output, also_input=""):
    """Rules for what the site's first host sends, and gets."""
    topology.nft(site.hosts[0], f"""
table inet lab_host {{
    chain out {{ type filter hook output priority filter; oifname "lo" accept; {output} }}
    chain in {{ type filter hook input priority filter; iifname "lo" accept; {also_input} }}
}}
""")


def outage(scene):
    """Nothing passes for a while, as with a pulled cable."""
    host_rules(scene.site, "drop;", "drop;")
    scene.is_struck()
    time.sleep(OUTAGE)
    topology.nft(scene.site.hosts[0], "delete table inet lab_host\n")
    scene.is_back()


def stopped(scene):
    """The process stands still for a while, as with a closed lid."""
    scene.process.signal(signal.SIGSTOP)
    scene.is_struck()
    time.sleep(OUTAGE)
    scene.process.signal(signal.SIGCONT)
    scene.is_back()


def udp_blocked(scene):
    """A firewall that lets UDP through no more, in neither direction."""
    host_rules(scene.site, "meta l4proto udp drop;", "meta l4proto udp drop;")


def only_443(scene):
    """A network from which nothing but TCP to port 443 gets out."""
    host_rules(scene.site, "meta l4proto icmpv6 accept; tcp dport 443 accept; drop;", "meta l4proto udp drop;")


def ipv6_only(scene):
    """The machine moves to a network without IPv4."""
    topology.ip(scene.site.hosts[0], "address", "del", "192.168.1.10/24", "dev", "eth0")


def ipv4_only(scene):
    """The machine moves to a network without IPv6."""
    topology.ip(scene.site.hosts[0], "-6", "address", "flush", "dev", "eth0", "scope", "global")


def vpn_without_udp(scene):
    """A VPN comes up and takes the default route; it carries everything but UDP."""
    host, router = scene.site.hosts[0], scene.site.routers[0]
    topology.ip(router, "link", "add", "vpn0", "type", "veth", "peer", "name", "vpn0", "netns", host)
    for namespace, value in ((router, "10.8.0.1/24"), (host, "10.8.0.2/24")):
        topology.address(namespace, "vpn0", value)
        topology.ip(namespace, "link", "set", "vpn0", "up")
    # At the head, before what is let through because it goes on.
    topology.nft(router, 'insert rule inet lab_filter forward iifname "vpn0" meta l4proto udp drop\n'
                 'add rule inet lab_filter forward iifname "vpn0" accept\n')
    topology.ip(host, "route", "replace", "default", "via", "10.8.0.1", "dev", "vpn0")


def relays_restart(number, pause):
    """Every relay gets that signal, and is there again after so many seconds, at the same addresses."""

    def strike(scene):
        for relay in scene.driver.relays:
            relay.process.signal(number)
        for relay in scene.driver.relays:
            relay.process.child.wait(10)
        scene.is_struck()
        time.sleep(pause)
        scene.driver.restart_relays()
        scene.is_back()

    return strike
