import DeP2P
import DeP2PApp
import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSessions
import Dispatch

/// The product's router under GossipSub's own protocol names, on connections that no realm has admitted: what other
/// implementations are tried with (`Tests/Interop`). The product itself speaks with members alone.
///
/// Each line of standard input is a command: `publish TEXT`, `fill BYTES` (publishes so many of the same), `state`,
/// `unsubscribe`. What is delivered, and states, are lines of JSON.
@NetworkActor
final class OpenTopics {
    nonisolated static let protocols = ["/meshsub/1.2.0", "/meshsub/1.1.0"]
    private static let frameLimit = 2 * 1024 * 1024

    private final class Peer {
        let key: PubSubRouter.PeerKey
        let session: Session
        var waiting: [[UInt8]] = []
        var isWriting = false
        var stream: NegotiatedStream?

        init(_ key: PubSubRouter.PeerKey, _ session: Session) { (self.key, self.session) = (key, session) }
    }

    private let node: Node
    private let topic: Topic
    private let key = IdentityKey.generate()
    /// Under which of them this side speaks.
    private let name: String
    private let keys = AuthorKeys()
    private let driver: MachineDriver<PubSubRouter>
    private var peers: [PubSubRouter.PeerKey: Peer] = [:]
    private var numbers = MessageNumbers(startingAt: 0)

    private init(speaking name: String, of topic: String) async throws {
        var configuration = NodeConfiguration()
        configuration.identity = key
        configuration.listen = [SocketAddress(IPAddress(v4: 0x7F00_0001), port: 0)]
        (self.name, self.topic, node) = (name, try Topic(topic), try await Node.start(configuration))
        let router = PubSubRouter(ownID: node.nodeID, seed: 1, now: node.clock.now)
        driver = MachineDriver(router, clock: node.clock)
        driver.carryOut = { [weak self] in self?.carryOut($0) }
    }

    static func run(speaking name: String, of topic: String, to addresses: [Address]) async throws {
        let topics = try await OpenTopics(speaking: name, of: topic)
        try await topics.run(to: addresses)
        await topics.node.stop(grace: .seconds(1))
    }

    private func run(to addresses: [Address]) async throws {
        for name in Self.protocols {
            node.connections.registry.register(name, deadline: .unlimited(because: "it is open as long as its peer is"))
            {
                [weak self] session, stream in try await self?.listen(to: stream, of: session)
            }
        }
        driver.handle { [topic] in $0.subscribe(topic, now: $1) }
        for address in addresses { speak(with: try await node.connections.connect(to: DialTarget(address))) }
        var hello = Report()
        hello.add("address", node.addresses[0].description)
        hello.add("peer_id", node.nodeID.description)
        hello.show()
        for await line in Self.lines() { obey(line) }
    }

    private static func lines() -> AsyncStream<String> {
        AsyncStream { continuation in
            DispatchQueue.global().async {
                while let line = readLine() { continuation.yield(line) }
                continuation.finish()
            }
        }
    }

    private func obey(_ line: String) {
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        switch words.first {
        case "publish": publish(Array((words.last ?? "").utf8))
        case "fill": publish([UInt8](repeating: 0x78, count: words.last.flatMap(Int.init) ?? 0))
        case "unsubscribe": driver.handle { [topic] in $0.unsubscribe(topic, now: $1) }
        default: break
        }
        var report = Report()
        report.add("listeners", driver.machine.listeners(of: topic).count)
        report.add("mesh", driver.machine.mesh(of: topic).count)
        report.show()
    }

    private func publish(_ body: [UInt8]) {
        let message = PubSubMessage(body, to: topic, sequence: numbers.take(at: 0), by: key)
        driver.handle { $0.publish(message, now: $1).actions }
    }

    // MARK: Peers

    @discardableResult
    private func speak(with session: Session) -> Peer {
        if let peer = peers.values.first(where: { $0.session === session }) { return peer }
        let peer = Peer(UInt64(peers.count) + 1, session)
        peers[peer.key] = peer
        let introduction = PubSubRouter.Introduction(
            nodeID: session.remoteNodeID, isOutbound: session.isInitiator, subject: nil)
        driver.handle { $0.addPeer(peer.key, introduction, now: $1) }
        session.onEnd { [weak self] _, _ in
            self?.driver.handle { $0.removePeer(peer.key, isLost: true, now: $1) }
        }
        peer.waiting = driver.machine.greeting.frames
        write(to: peer)
        return peer
    }

    private func write(to peer: Peer) {
        guard !peer.isWriting else { return }
        peer.isWriting = true
        networkTask { [name] in
            do {
                if peer.stream == nil { peer.stream = try await peer.session.openStream(name) }
                while !peer.waiting.isEmpty {
                    let frame = peer.waiting.removeFirst()
                    try await peer.stream?.write(Chunk(frame))
                }
            } catch {
                writeAll("\(error)\n", to: 2)
            }
            peer.isWriting = false
        }
    }

    private func listen(to stream: NegotiatedStream, of session: Session) async throws {
        let peer = speak(with: session)
        let reader = FrameReader(stream, limit: Self.frameLimit)
        while let frame = try await reader.next() {
            guard let input = PubSubInput.read(frame, from: session.remoteNodeID) else {
                throw BenchmarkError("what came is no RPC")
            }
            driver.handle { $0.receive(input, from: peer.key, now: $1) }
        }
    }

    // MARK: The router's side

    private func carryOut(_ actions: [PubSubRouter.Action]) {
        for action in actions {
            switch action {
            case .send(let message, let keys): for key in keys { send([message.frame], to: key) }
            case .sendRPC(let output, let key): send(output.frames, to: key)
            case .deliver(let message): tell(message)
            case .verify(let message, _):
                let isSigned = message.isSigned(knowing: keys)
                driver.handle { $0.verified(message, isSigned: isSigned, now: $1) }
            case .judge(let message, let source):
                driver.handle { $0.judged(message, .accept, from: source, now: $1) }
            case .withhold, .meet: break
            }
        }
    }

    private func send(_ frames: [[UInt8]], to key: PubSubRouter.PeerKey) {
        guard let peer = peers[key] else { return }
        peer.waiting += frames
        write(to: peer)
    }

    private func tell(_ message: PubSubMessage) {
        var report = Report()
        report.add("from", message.author.description)
        report.add("bytes", message.dataCount)
        report.add(
            "data", message.data.prefix(64).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined())
        report.show()
    }
}
