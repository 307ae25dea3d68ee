import DeP2PApp
import DeP2PIdentity
import DeP2PQUIC
import DeP2PReach
import DeP2PReactor
import DeP2PRealm
import DeP2PSessions
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2P

/// What a node tells of what it does, with the id of each event's subject.
@Suite struct NodeEventSourcesTests {
    private struct NotTaken: Error {}

    /// Two observers of a node's relays from its start on.
    @NetworkActor
    private final class Listeners: NodePart {
        private(set) var logs: [EventLog] = []

        func listen(to node: Node) -> Listeners {
            logs = [EventLog(of: node, .relays), EventLog(of: node)]
            return self
        }
    }

    private func loopback(_ change: (inout NodeConfiguration) -> Void = { _ in }) -> NodeConfiguration {
        var configuration = NodeConfiguration()
        configuration.listen = [SocketAddress(.v4Loopback, port: 0)]
        change(&configuration)
        return configuration
    }

    private func eventually(_ condition: () async -> Bool) async throws {
        while await !condition() { try await Task.sleep(for: .milliseconds(5)) }
    }

    /// Before, the second observer of a node's relays took the events away from the first.
    @Test func severalObserversHearOfRelaysAndCircuits() async throws {
        let relay = try await Node.start(loopback { $0.relay = RelayConfiguration(membersOnly: false) })
        let relays = await relay.addresses
        let relaying = await EventLog(of: relay, .relaying)
        // They listen before the node has asked its relay for anything, however busy the machine is.
        let listeners = Listeners()
        let right = try await Node.start(
            loopback {
                $0.relays = relays
                $0.parts = [{ listeners.listen(to: $0) }]
            })
        let logs = await listeners.logs
        #expect(await right.waitForRelay(timeout: .seconds(10)))
        let left = try await Node.start(
            loopback {
                $0.relays = relays
                $0.usesDirect = false
            })
        let session = try await left.session(to: DialTarget(nodeID: right.nodeID, addresses: []))
        let subject = NodeEvent.Subject.relay(relay.nodeID)
        for log in logs { try await eventually { await log.subjects.contains(subject) } }
        await session.close(.normal)
        try await eventually {
            await relaying.events.contains { if case .relaying(.closed) = $0 { true } else { false } }
        }
        let circuits = await relaying.events.compactMap { event -> UInt64? in
            if case .circuit(let id) = event.subject { id } else { nil }
        }
        // Its beginning and its end name one circuit.
        #expect(circuits.count == 2 && Set(circuits).count == 1)
        for node in [left, right, relay] { await node.stop() }
        for log in logs { try await eventually { await log.isOver } }
    }

    @Test func sessionsMessagesAndTransfersCarryTheirSubjects() async throws {
        let (from, to) = (try TemporaryFolder(), try TemporaryFolder())
        defer { withExtendedLifetime((from, to)) {} }
        let key = RealmKey.generate()
        let (left, right) = (try await Node.start(loopback()), try await Node.start(loopback()))
        try await left.join(key)
        try await right.join(key)
        try await right.onMessage { _ in throw NotTaken() }
        await right.receiveTransfers(to: .folder(try ReceiveFolder(path: to.path)))
        let (sent, received) = (await EventLog(of: left), await EventLog(of: right))
        let session = try await left.connectMember(DialTarget(addresses: right.addresses))
        await #expect(throws: DeP2PError.self) { try await left.send([1], on: session) }
        let file = "\(from.path)/file"
        close(open(file, O_CREAT | O_WRONLY, 0o600))
        for _ in 0..<2 { try await left.send(files: [file], to: DialTarget(addresses: right.addresses)) }
        await left.stop()
        await right.stop()
        for log in [sent, received] { try await eventually { await log.isOver } }
        let out = NodeEvent.SessionSubject(id: session.id, nodeID: right.nodeID)
        let changes = await sent.events.compactMap { event -> String? in
            guard case .session(out, let change) = event else { return nil }
            return switch change {
            case .opened: "opened"
            case .admitted: "admitted"
            case .moved: nil
            case .ended: "ended"
            }
        }
        #expect(changes == ["opened", "admitted", "ended"])
        #expect(await received.subjects.contains(.peer(left.nodeID)))
        for (log, peer, direction) in [
            (sent, right.nodeID, NodeEvent.TransferSubject.Direction.outgoing), (received, left.nodeID, .incoming),
        ] {
            let ended = await log.events.compactMap { event -> NodeEvent.TransferSubject? in
                if case .transfer(let subject, .ended(.success)) = event { subject } else { nil }
            }
            #expect(Set(ended).count == 2)
            #expect(ended.allSatisfy { $0.peer == peer && $0.direction == direction })
        }
    }
}
