import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// How connections end, and what both sides then know.
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct ConnectionEndTests {
    @Test func codesAndReasonsTravelBothWays() async throws {
        try await withPair { pair, _ in
            let (one, inboundOne) = try await pair.connectBoth()
            let (two, inboundTwo) = try await pair.connectBoth()
            one.close(code: 7, reason: "until tomorrow")
            #expect(
                try await inboundOne.waitClosed()
                    == CloseReason(.peer, code: 7, isApplication: true, reason: "until tomorrow"))
            #expect(one.closeReason == CloseReason(.local, code: 7, isApplication: true, reason: "until tomorrow"))
            inboundTwo.close(code: UInt64.max, reason: String(repeating: "é", count: 300))
            let seen = try await two.waitClosed()
            #expect(seen.origin == .peer && seen.isApplication && seen.code == (1 << 62) - 1)
            #expect(seen.reason.utf8.count >= 190 && seen.reason.utf8.count <= 203)
        }
    }

    @Test func tellsEveryObserverOnce() async throws {
        try await withPair { pair, _ in
            let (connection, _) = try await pair.connectBoth()
            let count = Box(0)
            connection.onClose.append { _ in count.value += 1 }
            connection.onClose.append { _ in count.value += 10 }
            connection.close(code: 1)
            connection.close(code: 2)
            #expect(count.value == 11)
            #expect(connection.closeReason?.code == 1)
        }
    }

    @Test func anIdleConnectionEndsInTimeOnBothSides() async throws {
        var configuration = EndpointConfiguration()
        configuration.keepAlive = .seconds(100)
        configuration.idleTimeout = .seconds(5)
        try await withPair(server: configuration, client: configuration) { pair, network in
            let (one, two) = try await pair.connectBoth()
            let start = network.now
            #expect(try await one.waitClosed().origin == .idleTimeout)
            #expect(try await two.waitClosed().origin == .idleTimeout)
            let elapsed = network.now.duration(since: start)
            #expect(elapsed > .seconds(4) && elapsed < .seconds(7))
        }
    }

    @Test func keepAliveHoldsAnIdleConnectionForAnHour() async throws {
        try await withPair { pair, network in
            let (one, two) = try await pair.connectBoth()
            try await network.sleep(for: .seconds(3_600))
            #expect(one.closeReason == nil && two.closeReason == nil)
            #expect(try await exchange(one, [9]) == [9])
            // One small packet each way every few seconds.
            #expect(one.statistics.bytesSent < 200_000)
        }
    }

    @Test func aVanishedPeerIsNoticed() async throws {
        try await withPair { pair, network in
            let (one, two) = try await pair.connectBoth()
            let start = network.now
            network.filter = { _, _, _ in false }
            #expect(try await one.waitClosed().origin == .idleTimeout)
            #expect(try await two.waitClosed().origin == .idleTimeout)
            #expect(network.now.duration(since: start) < .seconds(13))
            #expect(pair.client.connections.isEmpty && pair.server.connections.isEmpty)
        }
    }

    /// A stream between both ends, which bears silence or does not.
    private func work(_ one: Connection, _ two: Connection, bearsSilence: Bool) async throws -> (
        near: QUICStream, far: QUICStream
    ) {
        let taken = Waiter<QUICStream>()
        two.onStream = { taken.resume(returning: $0) }
        let near = try await one.openStream()
        try await near.write(Chunk([1]))
        let far = try await taken.value()
        _ = try await far.read()
        if bearsSilence {
            near.bearsSilence()
            far.bearsSilence()
        }
        return (near, far)
    }

    @Test("work under way outlives a silence that ends any other connection", arguments: [true, false])
    func workOutlivesSilence(bearsSilence: Bool) async throws {
        try await withPair { pair, network in
            let (one, two) = try await pair.connectBoth()
            let (near, far) = try await work(one, two, bearsSilence: bearsSilence)
            network.filter = { _, _, _ in false }
            try await network.sleep(for: .seconds(12))
            #expect((one.closeReason == nil) == bearsSilence && (two.closeReason == nil) == bearsSilence)
            guard bearsSilence else { return }
            network.filter = nil
            try await near.write(Chunk([2]))
            #expect(try await far.read()?.array() == [2])
        }
    }

    @Test func workWaitsForTheTimeThatBothSidesWereTold() async throws {
        try await withPair { pair, network in
            let (one, two) = try await pair.connectBoth()
            _ = try await work(one, two, bearsSilence: true)
            let start = network.now
            network.filter = { _, _, _ in false }
            #expect(try await one.waitClosed().origin == .idleTimeout)
            #expect(try await two.waitClosed().origin == .idleTimeout)
            let elapsed = network.now.duration(since: start)
            #expect(elapsed > .seconds(29) && elapsed < .seconds(36))
        }
    }

    /// A process that ended without a word and was started again holds nothing by the connection that it left.
    @Test func whoHasComeBackIsNotWaitedForOnTheConnectionItLeft() async throws {
        try await withPair { pair, network in
            let (one, two) = try await pair.connectBoth()
            _ = try await work(one, two, bearsSilence: true)
            let gone = pair.clientAddress
            network.filter = { _, from, to in from != gone && to != gone }
            let again = try pair.makeClient(3, key: pair.clientKey)
            defer { again.close() }
            let later = try await again.connect(to: pair.serverAddress, expecting: pair.server.nodeID)
            try await network.sleep(for: .seconds(12))
            #expect(two.closeReason?.origin == .idleTimeout)
            #expect(later.closeReason == nil)
        }
    }

    @Test func workThatEndsInSilenceIsNotWaitedForAnyMore() async throws {
        try await withPair { pair, network in
            let (one, two) = try await pair.connectBoth()
            let (near, far) = try await work(one, two, bearsSilence: true)
            network.filter = { _, _, _ in false }
            try await network.sleep(for: .seconds(12))
            // Nobody is there to hear of it, so that the stream is not over; whoever gave it up closes the connection.
            near.reset(0)
            far.reset(0)
            #expect(!one.isPatient && !two.isPatient)
            try await network.sleep(for: .seconds(2))
            #expect(one.closeReason?.origin == .idleTimeout && two.closeReason?.origin == .idleTimeout)
        }
    }

    @Test func aLostCloseIsRepeatedForTheNextPacket() async throws {
        try await withPair { pair, network in
            let (one, two) = try await pair.connectBoth()
            let dropped = Box(0)
            network.filter = { _, from, _ in
                guard from == pair.clientAddress, dropped.value == 0 else { return true }
                dropped.value += 1
                return false
            }
            one.close(code: 5, reason: "lost at first")
            let stream = try await two.openStream()
            try await stream.write(Chunk([1]))
            let seen = try await two.waitClosed()
            #expect(seen == CloseReason(.peer, code: 5, isApplication: true, reason: "lost at first"))
            #expect(dropped.value == 1)
        }
    }

    @Test func aClosedConnectionAnswersAFewTimesOnly() async throws {
        try await withPair { pair, network in
            let (one, two) = try await pair.connectBoth()
            let recorded = Box<[UInt8]?>(nil)
            network.filter = { bytes, from, _ in
                if from == pair.serverAddress { recorded.value = bytes }
                return true
            }
            let stream = try await two.openStream()
            try await stream.write(Chunk([1]))
            try await network.sleep(for: .milliseconds(100))
            one.close(code: 5)
            await settle()
            let late = try #require(recorded.value)
            let answers = Box(0)
            network.filter = { _, from, _ in
                if from == pair.clientAddress { answers.value += 1 }
                return false
            }
            for _ in 0..<20 {
                var copy = late
                copy.withUnsafeMutableBytes {
                    pair.client.receive($0, local: pair.clientAddress, remote: pair.serverAddress, ecn: 0)
                }
            }
            #expect(answers.value <= 3 && answers.value > 0)
            try await network.sleep(for: .seconds(20))
            #expect(pair.client.lingering.isEmpty)
        }
    }

    @Test func theEndpointsCloseEndsEverything() async throws {
        try await withPair { pair, network in
            var connections: [Connection] = []
            for _ in 0..<5 { connections.append(try await pair.connect()) }
            let dial = networkTask { try await pair.client.connect(to: host(50), expecting: nil) }
            try await network.sleep(for: .milliseconds(50))
            pair.client.close(code: 3, reason: "bye")
            for inbound in pair.inbound { #expect(try await inbound.waitClosed().reason == "bye") }
            for connection in connections { #expect(connection.closeReason?.origin == .local) }
            #expect(await failure { _ = try await dial.value } is QUICError)
            let error = await failure { _ = try await pair.connect() }
            #expect(error as? QUICError == QUICError(.endpointClosed, ""))
        }
    }

    @Test func waitingForTheEndCanBeCancelled() async throws {
        try await withPair { pair, network in
            let (one, _) = try await pair.connectBoth()
            let waits = (0..<10).map { _ in networkTask { _ = try await one.waitClosed() } }
            await settle()
            for wait in waits { wait.cancel() }
            for wait in waits { #expect(await failure { try await wait.value } is CancellationError) }
            let last = networkTask { try await one.waitClosed() }
            await settle()
            one.close(code: 4)
            #expect(try await last.value.code == 4)
        }
    }
}
