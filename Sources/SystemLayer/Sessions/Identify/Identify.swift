package import DeP2PIdentity
internal import DeP2PQUIC
package import DeP2PReactor
internal import DeP2PWire

/// libp2p identify: who the peer is, what it speaks and how it sees us (libp2p/specs identify).
@NetworkActor
package final class Identify {
    package nonisolated static let protocolIDs = ["/dep2p/sys/identify/1.0.0", "/ipfs/id/1.0.0"]
    package nonisolated static let protocolVersion = "dep2p/1.0.0"
    /// The longest message taken, in bytes.
    package nonisolated static let messageLimit = 16 * 1024
    /// Messages that one answer may be split into.
    package nonisolated static let messageCount = 10
    package nonisolated static let deadline = Duration.seconds(5)

    private let key: IdentityKey
    private let agent: String
    private let addresses: @NetworkActor () -> [Address]
    private let sequence: @NetworkActor () async -> UInt64
    /// Sessions whose peers, as strangers, were not told every address: they are once they are admitted.
    private var withheld: Set<UInt64> = []
    weak var connections: Connections?
    /// Streams on which peers are asked, by their sessions.
    var questions = StreamCounts()
    /// A push that is about to be sent.
    var pending: TimerToken?

    /// - Parameters:
    ///   - agent: the software's name and version.
    ///   - addresses: this node's own addresses at the time of asking.
    ///   - sequence: the record's sequence number: ``RecordSequence``.
    package init(
        key: IdentityKey, agent: String, connections: Connections, addresses: @escaping @NetworkActor () -> [Address],
        sequence: @escaping @NetworkActor () async -> UInt64
    ) {
        self.key = key
        self.agent = agent
        self.connections = connections
        self.addresses = addresses
        self.sequence = sequence
    }

    /// Answers under both names.
    package func serve() {
        for name in Self.protocolIDs {
            connections?.registry.register(name, deadline: .within(Self.deadline)) { [weak self] session, stream in
                guard let self else { return }
                try await stream.writeFrame(try await message(for: session))
            }
        }
    }

    /// What this node says of itself to the peer of `session`.
    func message(for session: Session) async throws -> [UInt8] {
        let number = await sequence()
        let own = Array(told(session).prefix(PeerRecord.maximumAddresses))
        let record = try PeerRecord(nodeID: key.nodeID, seq: number, addresses: own.compactMap(\.withoutNodeID))
        let information = PeerInformation(
            publicKey: key.publicKey, listenAddresses: own.compactMap(\.withoutNodeID),
            protocols: connections?.registry.names(for: session.isAdmitted ? .members : .open) ?? [],
            observedAddress: Self.observed(session.path),
            protocolVersion: Self.protocolVersion, agentVersion: agent, record: nil, signedRecord: [])
        return try information.encoded(signedRecord: try record.sealed(by: key))
    }

    /// The addresses that the peer of `session` is told.
    private func told(_ session: Session) -> [Address] {
        let all = addresses()
        guard let rule = connections?.addressRule() else { return [] }
        let voucher = rule.voucher(of: session)
        let told = all.filter { rule.tells($0, to: voucher) }
        if !session.isAdmitted, told.count < all.count, session.isOpen, withheld.insert(session.id).inserted {
            session.onEnd { [weak self] session, _ in self?.withheld.remove(session.id) }
        }
        return told
    }

    /// Streams on `session` that nobody misses where the node stops.
    package func streamsKeptOpen(on session: Session) -> Int { questions.count(on: session) }

    /// The peer of `session` is a member now.
    func admitted(_ session: Session) {
        if withheld.remove(session.id) != nil { push(to: session) }
    }

    private static func observed(_ path: ConnectionPath) -> Address? {
        if let tcp = path.tcpPeer { return .tcpTLS(tcp.ip, port: tcp.port) }
        return path.peerAddress.map { .quic($0.ip, port: $0.port) }
    }

    /// Asks the peer of `session`.
    ///
    /// - Throws: ``SessionError``: `violation` when the answer is malformed, or of another node than the connection's.
    package static func ask(_ session: Session) async throws -> PeerInformation {
        do {
            return try await session.clock.withDeadline(deadline) {
                let stream = try await session.openStream(anyOf: protocolIDs)
                stream.finish()
                let reader = FrameReader(stream, limit: messageLimit)
                var merged: [UInt8] = []
                for _ in 0..<messageCount {
                    guard let frame = try await reader.next() else { break }
                    merged += frame
                }
                stream.stopReading(StreamCode.done.rawValue)
                return try PeerInformation(decoding: merged, of: session.remoteNodeID)
            }
        } catch {
            throw SessionError(error, on: session)
        }
    }
}
