internal import DeP2PIdentity
internal import DeP2PReactor

/// The sockets of Multicast DNS: one on each link that listens, and one more there while questions are asked.
@NetworkActor
final class LinkSockets {
    /// - Parameter isAnswer: whether it came to where questions leave from.
    var onMessage: (@NetworkActor (DNSMessage, Link.ID, SocketAddress, _ isAnswer: Bool) -> Void)?
    private let open: @NetworkActor (SocketAddress, UInt32) throws -> any DatagramChannel
    private var listening: [Link.ID: any DatagramChannel] = [:]
    private var asking: [Link.ID: any DatagramChannel] = [:]
    /// The addresses that messages to groups carry, where the kernel would choose a wrong one.
    private var sources: [Link.ID: IPAddress] = [:]

    init(_ open: @escaping @NetworkActor (SocketAddress, UInt32) throws -> any DatagramChannel) {
        self.open = open
    }

    /// Listens on these links, and on no others any more. A link on which nothing can be opened is left out.
    func listen(on links: [Link]) {
        let wanted = Set(links.map(\.id))
        for (id, channel) in listening where !wanted.contains(id) {
            channel.close()
            listening[id] = nil
        }
        for link in links where link.interface.isLoopback {
            // Those of loopback have the scope of a host, and Linux puts none narrower than a link's (rtnetlink(7)) on what
            // goes to 224.0.0.0/24: it takes another interface's, or 0.0.0.0 where there is none.
            sources[link.id] = link.interface.addresses.map(\.address.ip).first { $0.family == link.id.family }
        }
        for link in links where listening[link.id] == nil {
            listening[link.id] = channel(link.id, port: MDNSMachine.port, isAnswer: false)
        }
    }

    /// Has a port of its own for questions on each link.
    func openForAsking(_ links: [Link]) {
        for link in links where asking[link.id] == nil {
            asking[link.id] = channel(link.id, port: 0, isAnswer: true)
        }
    }

    func closeForAsking() {
        for channel in asking.values { channel.close() }
        asking = [:]
    }

    func close() {
        closeForAsking()
        listen(on: [])
    }

    private func channel(_ id: Link.ID, port: UInt16, isAnswer: Bool) -> (any DatagramChannel)? {
        let group = SocketAddress(id.family.multicastDNS, port: port)
        let channel = traced("Multicast DNS on interface \(id.interface)", at: .notable) {
            try open(group, id.interface)
        }
        channel?.onDatagram = { [weak self] datagram in
            guard let message = DNSMessage(datagram.bytes) else { return }
            self?.onMessage?(message, id, datagram.remote, isAnswer)
        }
        return channel
    }

    // MARK: Sending

    func send(_ message: DNSMessage, toGroupOf id: Link.ID) {
        listening[id]?.send(message.encoded, to: Self.group(of: id), from: sources[id])
    }

    func send(_ message: DNSMessage, to asker: SocketAddress, on id: Link.ID) {
        listening[id]?.send(message.encoded, to: asker)
    }

    func ask(_ message: DNSMessage) {
        let bytes = message.encoded
        for (id, channel) in asking { channel.send(bytes, to: Self.group(of: id), from: sources[id]) }
    }

    private static func group(of id: Link.ID) -> SocketAddress {
        SocketAddress(
            id.family.multicastDNS, port: MDNSMachine.port, scope: id.family == .v6 ? id.interface : 0)
    }
}
