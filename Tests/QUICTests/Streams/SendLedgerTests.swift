import CDeP2PQUICShim
import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PQUIC

/// Every byte that ngtcp2 was handed is read again until ngtcp2 has let go of it, whatever becomes of its stream: ngtcp2
/// may send it once more at any time (issue 7.1). Freed chunks are overwritten and kept while this looks.
@Suite(.serialized, .timeLimit(.minutes(2)))
@NetworkActor
struct SendLedgerTests {
    /// Both ends send, reset, stop and close at random, with ledgers.
    private func misuse(
        seed: UInt64, rounds: Int, _ network: SimulatedNetwork, _ pair: TestPair, _ ledger: Ledger
    ) async throws {
        var random = SplitMix64(seed: seed)
        for _ in 0..<rounds {
            let (client, server) = try await pair.connectBoth()
            let inbound = Box<[QUICStream]>([])
            serveEcho(server) { inbound.value.append($0) }
            var streams: [QUICStream] = []
            for step in 0..<30 {
                if streams.isEmpty || random.next() % 3 == 0 { streams.append(try await client.openStream()) }
                let stream = streams[Int(random.next() % UInt64(streams.count))]
                let all = inbound.value
                let far = all.isEmpty ? stream : all[Int(random.next() % UInt64(all.count))]
                switch random.next() % 12 {
                case 0..<5:
                    let bytes = pattern(1 + Int(random.next() % 9_000), seed: seed &+ UInt64(step))
                    networkTask { try? await stream.write(Chunk(bytes)) }
                case 5: stream.finish()
                case 6: stream.reset(random.next() % 100)
                case 7: stream.stopReading(random.next() % 100)
                case 8: far.reset(random.next() % 100)
                case 9: far.stopReading(random.next() % 100)
                case 10:
                    // What was sent last is still under way when the stream is given up.
                    stream.finish()
                    await settle()
                    stream.reset(1)
                default: far.finish()
                }
                try await network.sleep(for: .milliseconds(Int64(random.next() % 30)))
            }
            ledger.check()
            if random.next() % 2 == 0 { client.close(code: 0) } else { server.close(code: 1, reason: "enough") }
            ledger.check()
            try await network.sleep(for: .milliseconds(Int64(random.next() % 300)))
        }
    }

    @Test(arguments: 1..<13)
    func nothingIsFreedWhileNgtcp2PointsAtIt(_ seed: Int) async throws {
        try await ChunkMemory.keepingFreed {
            let ledger = Ledger()
            try await withPair(seed: UInt64(seed)) { pair, network in
                network.link.loss = 0.15
                network.link.reordering = 0.1
                network.link.duplication = 0.05
                network.link.jitter = .milliseconds(15)
                network.filter = { _, _, _ in
                    ledger.check()
                    return true
                }
                pair.client.ledger = ledger
                pair.server.ledger = ledger
                try await misuse(seed: UInt64(seed), rounds: 3, network, pair, ledger)
                pair.client.close()
                pair.server.close()
                network.filter = nil
            }
            #expect(ledger.handedOver > 20_000 && ledger.checks > 100)
            #expect(ledger.isEmpty && ledger.changed == 0)
        }
    }

    /// A test of the test: poisoned memory is noticed.
    @Test func theLedgerNoticesFreedMemory() async throws {
        try await ChunkMemory.keepingFreed {
            let ledger = Ledger()
            try await withPair { pair, network in
                pair.client.ledger = ledger
                let connection = try await pair.connect()
                let stream = try await connection.openStream()
                var chunk: Chunk? = Chunk(pattern(500))
                let vector = dep2p_vec(base: chunk?.base.assumingMemoryBound(to: UInt8.self), length: 500)
                withUnsafePointer(to: vector) {
                    ledger.handedOver(
                        UnsafeBufferPointer(start: $0, count: 1), count: 500, stream: stream.id, of: connection)
                }
                ledger.check()
                #expect(ledger.changed == 0)
                chunk = nil
                ledger.check()
                #expect(ledger.changed > 0)
            }
        }
    }

    // MARK: The bound

    /// The peer goes away while streams are given up: what it will never acknowledge ends the connection.
    @Test func whatAPeerLeavesUnacknowledgedIsBounded() async throws {
        var configuration = EndpointConfiguration()
        configuration.maxSendMemory = 30_000
        configuration.limitCloseCode = 77
        try await withPair(server: configuration) { pair, network in
            let (client, server) = try await pair.connectBoth()
            try await network.sleep(for: .seconds(1))
            network.filter = { _, _, to in to != pair.clientAddress }
            for _ in 0..<10 where server.closeReason == nil {
                let stream = try await server.openStream()
                networkTask { try? await stream.write(Chunk(pattern(10_000))) }
                await settle()
                stream.reset(0)
                #expect(server.abandonedMemory <= 15_000 + 10_000 + SendBuffer.chunkOverhead)
                // Pacing lets go of so much at a time.
                try await network.sleep(for: .milliseconds(20))
            }
            let reason = try #require(server.closeReason)
            #expect(reason.code == 77 && reason.isApplication && reason.reason.contains("15000 bytes"))
            #expect(server.sendMemory == 0 && server.abandonedMemory == 0)
            client.close(code: 0)
        }
    }

    /// A peer that acknowledges may abandon as much as it likes.
    @Test func honestPeersNeverMeetTheBound() async throws {
        var configuration = EndpointConfiguration()
        configuration.maxSendMemory = 2_000_000
        try await withPair(server: configuration) { pair, network in
            network.link.loss = 0.02
            let (client, server) = try await pair.connectBoth()
            for _ in 0..<50 {
                let stream = try await client.openStream()
                networkTask { try? await stream.write(Chunk(pattern(60_000))) }
                try await network.sleep(for: .milliseconds(120))
                stream.stopReading(0)
                try await network.sleep(for: .milliseconds(5))
                stream.reset(0)
            }
            try await network.sleep(for: .seconds(5))
            #expect(server.closeReason == nil && server.sendMemory == 0 && server.abandonedMemory == 0)
            #expect(client.sendMemory == 0)
        }
    }

    /// Writers wait when all streams together hold too much; each stream has a little of its own, so none starves.
    @Test func writersShareTheMemoryOfTheirConnection() async throws {
        var configuration = EndpointConfiguration()
        configuration.maxSendMemory = 256_000
        var reader = EndpointConfiguration()
        (reader.streamWindow, reader.maxStreamWindow) = (50_000, 50_000)
        try await withPair(server: reader, client: configuration) { pair, network in
            network.link.bandwidth = 20_000_000
            let (client, server) = try await pair.connectBoth()
            let ignored = Box<[QUICStream]>([])
            server.onStream = { ignored.value.append($0) }
            let writers = try await (0..<20).asyncMap { _ in try await client.openStream() }.map { stream in
                networkTask { while true { try await stream.write(Chunk(pattern(10_000))) } }
            }
            try await network.sleep(for: .seconds(20))
            let share = client.allowance.streamSendMemory + 10_000 + SendBuffer.chunkOverhead
            #expect(client.sendMemory > 256_000 && client.sendMemory <= 256_000 + 20 * share)
            serveEcho(server)
            let echo = try await exchange(client, [1, 2, 3])
            #expect(echo == [1, 2, 3])
            // Those who wait go on once there is room.
            for stream in ignored.value { networkTask { while try await stream.read() != nil {} } }
            try await network.sleep(for: .seconds(3))
            #expect(client.streams.values.allSatisfy { $0.sending.sent > 100_000 })
            client.close(code: 0)
            for writer in writers { _ = await writer.result }
            #expect(client.sendMemory == 0)
        }
    }
}

/// What ngtcp2 has been handed and not let go of yet, and what stood there.
@NetworkActor
private final class Ledger: SendLedger {
    private struct Stream: Hashable {
        let connection: ObjectIdentifier
        let id: Int64
    }

    private struct Entry {
        let end: UInt64
        let base: UnsafeRawPointer
        let copy: [UInt8]
    }

    private var entries: [Stream: [Entry]] = [:]
    private var offsets: [Stream: UInt64] = [:]
    private(set) var handedOver = 0
    private(set) var changed = 0
    private(set) var checks = 0

    var isEmpty: Bool { entries.isEmpty }

    func handedOver(
        _ vectors: UnsafeBufferPointer<dep2p_vec>, count: Int, stream: Int64, of connection: Connection
    ) {
        let key = Stream(connection: ObjectIdentifier(connection), id: stream)
        var left = count
        for vector in vectors where left > 0 {
            let length = min(left, vector.length)
            left -= length
            guard length > 0, let base = vector.base else { continue }
            let end = offsets[key, default: 0] + UInt64(length)
            offsets[key] = end
            let copy = Array(UnsafeRawBufferPointer(start: base, count: length))
            entries[key, default: []].append(Entry(end: end, base: UnsafeRawPointer(base), copy: copy))
        }
        handedOver += count
    }

    func acknowledged(upTo end: UInt64, stream: Int64, of connection: Connection) {
        let key = Stream(connection: ObjectIdentifier(connection), id: stream)
        entries[key]?.removeAll { $0.end <= end }
        if entries[key]?.isEmpty == true { entries[key] = nil }
    }

    func closed(stream: Int64, of connection: Connection) {
        entries[Stream(connection: ObjectIdentifier(connection), id: stream)] = nil
    }

    func freed(_ connection: Connection) {
        entries = entries.filter { $0.key.connection != ObjectIdentifier(connection) }
        offsets = offsets.filter { $0.key.connection != ObjectIdentifier(connection) }
    }

    /// Reads all of it again.
    func check() {
        checks += 1
        for entry in entries.values.joined() where memcmp(entry.base, entry.copy, entry.copy.count) != 0 {
            changed += 1
        }
    }
}

/// As `serveEcho`, and tells of each stream.
@NetworkActor
private func serveEcho(_ connection: Connection, _ onStream: @escaping @NetworkActor (QUICStream) -> Void) {
    connection.onStream = { stream in
        onStream(stream)
        networkTask {
            while let chunk = try await stream.read() { try await stream.write(chunk) }
            stream.finish()
        }
    }
}

extension Range where Bound == Int {
    @NetworkActor
    fileprivate func asyncMap<Result>(_ body: @NetworkActor (Int) async throws -> Result) async rethrows -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await body(element)) }
        return results
    }
}
