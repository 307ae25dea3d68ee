"""Forgets every connection that this namespace's NAT tracks, as a router does when it restarts."""

import socket
import struct

NETLINK_NETFILTER = 12
CONNTRACK_DELETE = 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
REQUEST, ACKNOWLEDGE = 1, 4


def main():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
        # Without attributes: all of them, of every family.
        netlink.send(struct.pack("=IHHII", 20, CONNTRACK_DELETE, REQUEST | ACKNOWLEDGE, 1, 0) + struct.pack("=BBH", 0, 0, 0))
        error = struct.unpack_from("=i", netlink.recv(4096), 16)[0]
    if error:
        raise SystemExit(f"conntrack: error {-error}")


if __name__ == "__main__":
    main()
