internal import DeP2PIdentity
package import DeP2PReactor
internal import Glibc

extension Gateway {
    /// Where PCP and NAT-PMP are spoken. A link-local address needs its interface.
    package var socketAddress: SocketAddress {
        SocketAddress(address, port: PCP.port, scope: address.isLinkLocal ? if_nametoindex(interface) : 0)
    }
}
