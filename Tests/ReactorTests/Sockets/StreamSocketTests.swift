import DeP2PIdentity
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PReactor

@Suite(.timeLimit(.minutes(1)))
@NetworkActor
struct StreamSocketTests {
    enum Kind: CaseIterable { case tcp, unix }

    /// Two connected sockets, and what listens.
    private struct Pair {
        let client: StreamSocket
        let server: StreamSocket
        let close: @NetworkActor () -> Void
    }

    private func connected(_ kind: Kind) async throws -> Pair {
        let accepted = Waiter<StreamSocket>()
        switch kind {
        case .tcp:
            let acceptor = try TCPAcceptor(
                bind: SocketAddress(.v4Loopback, port: 0), clock: SystemNetworkClock.shared)
            acceptor.start { descriptor, _ in accepted.resume(returning: StreamSocket(descriptor)) }
            let client = try await StreamSocket.connect(to: acceptor.address)
            return Pair(client: client, server: try await accepted.value()) { acceptor.close() }
        case .unix:
            let folder = try TemporaryFolder()
            let acceptor = try UnixAcceptor(path: folder.path + "/socket")
            acceptor.start { accepted.resume(returning: $0) }
            let client = try StreamSocket.connect(path: acceptor.path)
            return Pair(client: client, server: try await accepted.value()) { [folder] in
                acceptor.close()
                _ = folder
            }
        }
    }

    private func readAll(_ socket: StreamSocket) async throws -> [UInt8] {
        var all: [UInt8] = []
        while let bytes = try await socket.read(upTo: 10_000) { all += bytes }
        return all
    }

    /// More than the kernel holds, both ways at once; either side ends its own half.
    @Test(arguments: Kind.allCases)
    func bytesArriveInOrderBothWays(_ kind: Kind) async throws {
        let pair = try await connected(kind)
        let sent = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        let echo = networkTask {
            while let bytes = try await pair.server.read(upTo: 50_000) { try await pair.server.write(bytes) }
            pair.server.finish()
        }
        let writing = networkTask {
            try await pair.client.write(sent)
            pair.client.finish()
        }
        #expect(try await readAll(pair.client) == sent)
        try await writing.value
        try await echo.value
        for socket in [pair.client, pair.server] { socket.close() }
        pair.close()
    }

    @Test func whereNobodyListensIsRefused() async throws {
        let gone = try TCPAcceptor(bind: SocketAddress(.v4Loopback, port: 0), clock: SystemNetworkClock.shared)
        gone.close()
        let error = await failure { _ = try await StreamSocket.connect(to: gone.address) }
        #expect((error as? SocketError)?.code == .refused)
        let folder = try TemporaryFolder()
        let missing = await failure { _ = try StreamSocket.connect(path: folder.path + "/socket") }
        #expect((missing as? SocketError)?.code == .refused)
    }

    @Test(arguments: Kind.allCases)
    func closingEndsWhatWaits(_ kind: Kind) async throws {
        let pair = try await connected(kind)
        let reading = networkTask { try await pair.client.read(upTo: 1) }
        let writing = networkTask { try await pair.client.write([UInt8](repeating: 0, count: 50_000_000)) }
        await settle()
        pair.client.close()
        #expect((await failure { _ = try await reading.value } as? SocketError)?.code == .closed)
        #expect((await failure { try await writing.value } as? SocketError)?.code == .closed)
        #expect((await failure { _ = try await pair.client.read(upTo: 1) } as? SocketError)?.code == .closed)
        pair.server.close()
        pair.close()
    }

    @Test(arguments: Kind.allCases)
    func whoIsCancelledStopsWaitingAndTheSocketLives(_ kind: Kind) async throws {
        let pair = try await connected(kind)
        let reading = networkTask { try await pair.client.read(upTo: 1) }
        await settle()
        reading.cancel()
        #expect(await failure { _ = try await reading.value } is CancellationError)
        try await pair.server.write([7])
        #expect(try await pair.client.read(upTo: 9) == [7])
        for socket in [pair.client, pair.server] { socket.close() }
        pair.close()
    }

    @Test(arguments: Kind.allCases)
    func writingToWhoHasGoneFails(_ kind: Kind) async throws {
        let pair = try await connected(kind)
        pair.server.close()
        let error = await failure { while true { try await pair.client.write([1]) } }
        #expect((error as? SocketError)?.code == .broken)
        pair.client.close()
        pair.close()
    }
}
