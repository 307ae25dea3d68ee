import DeP2PApp
import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PRealm
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2P
@testable import DeP2PSessions

/// How a transfer ends where the sender is gone at once, or the network is.
@Suite @NetworkActor struct TransferEndTests {
    private let key = RealmKey.generate()

    private func node(in world: SimulatedWorld, host: UInt32) throws -> Node {
        let node = try world.node(on: world.machine(at: IPAddress(v4: 0x0a00_0000 + host)))
        try node.join(key)
        return node
    }

    /// The names in the inbox, those of the receiver's own last.
    private func names(_ folder: TemporaryFolder) -> [String] { TemporaryFolder.names(in: folder.path).sorted() }

    /// What was finished before the connection is closed goes before that: receivers of yesterday take nothing else for the end.
    @Test("a stream's end goes out before the connection is closed", arguments: [0, 2])
    func endBeforeClose(grace: Int) async throws {
        let world = SimulatedWorld(seed: 201)
        world.network.link.latency = .milliseconds(20)
        try await world.run {
            let (left, right) = (try node(in: world, host: 1), try node(in: world, host: 2))
            let ends = Waiter<String>()
            right.connections.registry.register(
                "/dep2p/app/end/1.0.0", deadline: .unlimited(because: "a test")
            ) { _, stream in
                do {
                    while try await stream.read() != nil {}
                    ends.resume(returning: "ended")
                } catch {
                    ends.resume(returning: "\(error)")
                }
            }
            let session = try await left.connectMember(DialTarget(addresses: right.addresses))
            let stream = try await session.openStream("/dep2p/app/end/1.0.0")
            try await stream.write(Chunk([1, 2, 3]))
            try await world.network.sleep(for: .milliseconds(200))
            stream.finish()
            left.transferPart?.sent(
                on: session, parting: networkTask { try? await world.network.sleep(for: .seconds(1)) })
            await left.stop(grace: .seconds(grace))
            #expect(try await ends.value() == "ended")
            await right.stop(grace: .zero)
        }
    }

    /// A place, and with `listen --once` the command, is held until the end is heard of.
    @Test("a receiver hears of the end soon though packets are lost")
    func lossyEnd() async throws {
        let world = SimulatedWorld(seed: 202)
        world.network.link.latency = .milliseconds(10)
        try await world.run {
            let right = try node(in: world, host: 2)
            let inbox = try TemporaryFolder()
            let source = try TemporaryFolder()
            let file = source.write("x", [1, 2, 3])
            let ended = Signal(right.clock)
            var results: [Bool] = []
            right.receiveTransfers(
                to: .folder(try ReceiveFolder(path: inbox.path)),
                completion: { result, _ in
                    results.append((try? result.get()) != nil)
                    ended.send()
                })
            world.network.link.loss = 0.05
            var late: [Duration] = []
            for round in 0..<200 {
                let left = try node(in: world, host: 10 + UInt32(round))
                try await left.send(files: [file], to: DialTarget(addresses: right.addresses))
                await left.stop()
                let time = world.network.now
                while results.count <= round { try await ended.wait(until: time.advanced(by: .seconds(60))) }
                let after = world.network.now.duration(since: time)
                if after > .seconds(2) { late.append(after) }
            }
            #expect(results.allSatisfy { $0 })
            #expect(late.isEmpty, "\(late)")
            await right.stop(grace: .zero)
        }
    }

    /// The receiver has stored all; the sender never hears of it, and sends again.
    @Test("what is sent again after an outage at the end is not stored twice", arguments: [false, true])
    func outageAtTheEnd(sendsOn: Bool) async throws {
        let world = SimulatedWorld(seed: 203)
        world.network.link.latency = .milliseconds(20)
        try await world.run {
            let (left, right) = (try node(in: world, host: 1), try node(in: world, host: 2))
            let (inbox, source) = (try TemporaryFolder(), try TemporaryFolder())
            let file = source.write("x", [UInt8](repeating: 7, count: 5_000))
            var results: [String] = []
            right.receiveTransfers(
                to: .folder(try ReceiveFolder(path: inbox.path)),
                events: { event, _ in
                    guard case .stored = event, results.isEmpty else { return }
                    world.network.filter = { _, _, _ in false }
                },
                completion: { result, _ in
                    results.append((try? result.get()) != nil ? "received" : "failed")
                    world.network.filter = nil
                })
            let first = networkTask { try await left.send(files: [file], to: DialTarget(addresses: right.addresses)) }
            if sendsOn {
                // The sender's command is ended meanwhile, and says so before its network is back.
                try await world.network.sleep(for: .seconds(2))
                world.network.filter = { _, from, _ in from.ip == IPAddress(v4: 0x0a00_0001) }
                left.connections.sessions.first?.close(.goodbye)
            }
            let sent = await first.result
            #expect((try? sent.get()) == nil, "the receipts were lost")
            let time = world.network.now
            while results.isEmpty, world.network.now < time.advanced(by: .seconds(90)) {
                try await world.network.sleep(for: .milliseconds(100))
            }
            world.network.filter = nil
            _ = try await left.send(files: [file], to: DialTarget(addresses: right.addresses))
            try await world.network.sleep(for: .seconds(1))
            #expect(names(inbox) == ["x"], "\(results) \(names(inbox))")
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }

    /// The stream that only parts has ended a moment before those are told who know of it.
    @Test("who stops waits for an answer though a transfer parts meanwhile", arguments: [0, 3, 10, 25, 39])
    func answerBehindAParting(milliseconds: Int) async throws {
        let world = SimulatedWorld(seed: 204)
        world.network.link.latency = .milliseconds(20)
        try await world.run {
            let (left, right) = (try node(in: world, host: 1), try node(in: world, host: 2))
            let (inbox, source) = (try TemporaryFolder(), try TemporaryFolder())
            let file = source.write("x", [1, 2, 3])
            right.receiveTransfers(to: .folder(try ReceiveFolder(path: inbox.path)))
            try left.messaging.register("slow") { [network = world.network] message in
                try await network.sleep(for: .milliseconds(700))
                return message.body
            }
            _ = try await left.connectMember(DialTarget(addresses: right.addresses))
            try await world.network.sleep(for: .seconds(1))
            let session = try #require(right.connections.session(with: left.nodeID))
            let asked = networkTask { try await right.messaging.request([5], protocol: "slow", on: session) }
            try await world.network.sleep(for: .milliseconds(300 + milliseconds))
            try await left.send(files: [file], to: DialTarget(addresses: right.addresses))
            await left.stop()
            #expect((try? await asked.value) == [5])
            await right.stop(grace: .zero)
        }
    }

    /// The same of the question who the peer is, which is asked 300 ms after the connection was made.
    @Test("who stops waits for an answer though it is told meanwhile who the peer is")
    func answerBehindAQuestion() async throws {
        let world = SimulatedWorld(seed: 205)
        world.network.link.latency = .milliseconds(20)
        try await world.run {
            let (left, right) = (try node(in: world, host: 1), try node(in: world, host: 2))
            try left.messaging.register("slow") { [network = world.network] message in
                try await network.sleep(for: .milliseconds(700))
                return message.body
            }
            _ = try await left.connectMember(DialTarget(addresses: right.addresses))
            try await world.network.sleep(for: .milliseconds(200))
            let session = try #require(right.connections.session(with: left.nodeID))
            let asked = networkTask { try await right.messaging.request([5], protocol: "slow", on: session) }
            let start = world.network.now
            while left.connections.sessions.first?.openStreamCount != 2,
                world.network.now.duration(since: start) < .seconds(1)
            {
                try await world.network.sleep(for: .milliseconds(1))
            }
            await left.stop()
            #expect((try? await asked.value) == [5])
            await right.stop(grace: .zero)
        }
    }
}

extension TemporaryFolder {
    fileprivate func write(_ name: String, _ bytes: [UInt8]) -> String {
        let file = "\(path)/\(name)"
        let descriptor = open(file, O_CREAT | O_WRONLY, 0o600)
        _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
        return file
    }
}
