package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor

/// Opens a socket for single datagrams, bound to an address whose port may be 0 for a free one.
package typealias OpenChannel = @NetworkActor (SocketAddress) throws -> any DatagramChannel

/// A node's second UDP port, opened at the first use: what comes from it is a stranger's to every NAT and firewall.
///
/// STUN answers a change of port from it (RFC 5780 section 6.1), reachability dials back from it.
@NetworkActor
package final class AlternatePort {
    /// Takes what arrives on the second port.
    package var onDatagram: (@NetworkActor (Datagram) -> Void)?
    private weak var endpoint: Endpoint?
    private let open: OpenChannel?
    /// `nil` for a family whose socket could not be opened.
    private var channels: [IPAddress.Family: (any DatagramChannel)?] = [:]

    /// - Parameter open: without it the node has one port only.
    package init(_ endpoint: Endpoint, open: OpenChannel?) {
        self.endpoint = endpoint
        self.open = open
    }

    /// The second port of a family; `nil` when there is none.
    package func port(_ family: IPAddress.Family) -> UInt16? { channel(family)?.localAddress.port }

    /// Sends from the second port, and from the address `local` of this machine when it is a certain one.
    ///
    /// - Returns: whether there is a second port to send from.
    @discardableResult
    package func send(_ bytes: [UInt8], to remote: SocketAddress, from local: SocketAddress?) -> Bool {
        guard let channel = channel(remote.ip.family) else { return false }
        channel.send(bytes, to: remote, from: local?.ip)
        return true
    }

    package func close() {
        for channel in channels.values { channel?.close() }
        channels = [:]
        onDatagram = nil
    }

    private func channel(_ family: IPAddress.Family) -> (any DatagramChannel)? {
        if let known = channels[family] { return known }
        guard let open, let endpoint, !endpoint.isClosed,
            let own = endpoint.localAddresses.first(where: { $0.ip.family == family })
        else { return nil }
        let channel = traced("a second port", at: .notable) {
            try open(SocketAddress(own.ip, port: 0, scope: own.scope))
        }
        channel?.onDatagram = { [weak self] in self?.onDatagram?($0) }
        channels[family] = .some(channel)
        return channel
    }
}
