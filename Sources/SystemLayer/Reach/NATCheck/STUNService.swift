internal import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor

/// STUN on a node's own sockets: answers Binding requests, and hands answers and indications to who waits for them.
@NetworkActor
package final class STUNService {
    /// Takes a message of the transaction that was waited for.
    package typealias Receiver = @NetworkActor (STUNMessage, Datagram) -> Void

    private var responder: STUNResponder
    /// Who waits for a transaction that this node has begun, or told somebody of.
    private var receivers: [STUNTransactionID: Receiver] = [:]
    private let alternate: AlternatePort?
    private weak var endpoint: Endpoint?
    /// Whom this node's own sockets have asked of late, the latest last: NATs let in what comes from there.
    private var asked: [(observer: SocketAddress, until: NetworkInstant)] = []
    /// Until when it may be known to whom a peer likes: these are too many to be noted.
    private var probedUntil: NetworkInstant?
    /// More than a node asks in the time that NATs remember, RFC 4787 section 4.3's recommendation.
    static let askedLimit = 64
    static let askedMemory = Duration.seconds(300)

    /// Becomes the owner of the endpoint's datagrams that are STUN.
    ///
    /// - Parameter alternate: the node's second port, which answers too.
    package init(_ endpoint: Endpoint, alternate: AlternatePort? = nil) {
        self.endpoint = endpoint
        self.alternate = alternate
        let random = endpoint.configuration.random
        responder = STUNResponder(makeKey: { random.bytes(32) })
        endpoint.datagrams.take(.stun) { [weak self] in self?.receive($0) }
        alternate?.onDatagram = { [weak self, weak endpoint] datagram in
            let family = datagram.remote.ip.family
            let port = endpoint?.localAddresses.first { $0.ip.family == family }?.port
            self?.answer(datagram, otherPort: port, isAlternate: true)
        }
    }

    /// Hands messages of `transaction` to `receiver`, requests apart, until ``forget(_:)``.
    package func expect(_ transaction: STUNTransactionID, _ receiver: @escaping Receiver) {
        receivers[transaction] = receiver
    }

    package func forget(_ transaction: STUNTransactionID) { receivers[transaction] = nil }

    /// The node asks `observer` from its own sockets.
    func wrote(to observer: SocketAddress) {
        guard let now = endpoint?.clock.now else { return }
        asked.removeAll { $0.observer == observer || $0.until <= now }
        if asked.count == Self.askedLimit {
            asked.removeFirst()
            probing()
        }
        asked.append((observer, now.advanced(by: Self.askedMemory)))
    }

    /// The node probes addresses that peers name, from its own sockets.
    func probing() {
        guard let now = endpoint?.clock.now else { return }
        probedUntil = now.advanced(by: Self.askedMemory)
    }

    /// Whether a NAT may let packets of `source` in because this node has asked there, or wherever a peer wanted it to.
    func mayBeKnown(_ source: SocketAddress) -> Bool {
        guard let now = endpoint?.clock.now else { return false }
        if let probedUntil, probedUntil > now { return true }
        return asked.contains { $0.observer == source && $0.until > now }
    }

    private func receive(_ datagram: Datagram) {
        guard STUNMessage.isLikely(datagram.bytes) else { return }
        // Anything may come to this port: what is not STUN is nobody's.
        if !receivers.isEmpty, let message = try? STUNMessage(datagram.bytes), message.kind != .request {
            receivers[message.transaction]?(message, datagram)
        } else if endpoint?.socket(at: datagram.local) == nil {
            // Further sockets are there for one peer each, and answer nobody.
            let port = alternate?.port(datagram.remote.ip.family)
            answer(datagram, otherPort: port, isAlternate: false)
        }
    }

    private func answer(_ datagram: Datagram, otherPort: UInt16?, isAlternate: Bool) {
        guard let endpoint else { return }
        let local = datagram.local.ip.isUnspecified ? nil : datagram.local
        guard
            let response = responder.respond(
                to: datagram.bytes, from: datagram.remote, on: local, alternatePort: otherPort,
                now: endpoint.clock.now)
        else { return }
        if response.origin.changesPort != isAlternate {
            alternate?.send(response.bytes, to: response.destination, from: local)
        } else {
            let own = endpoint.localAddresses.first { $0.ip.family == response.destination.ip.family }
            let from = isAlternate ? own.map { SocketAddress(datagram.local.ip, port: $0.port) } : datagram.local
            endpoint.sendForeign(response.bytes, to: response.destination, from: from)
        }
    }
}
