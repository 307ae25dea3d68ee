import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// Paths that begin at sockets besides an endpoint's own.
@Suite(.timeLimit(.minutes(1))) @NetworkActor struct FurtherSocketTests {
    @Test("a client moves to a socket of its own, and back when that is closed")
    func client() async throws {
        try await withPair { pair, network in
            let (client, server) = try await pair.connectBoth()
            try await network.sleep(for: .milliseconds(200))
            let socket = host(2, port: 6_000)
            #expect(pair.client.addSocket(network.makeDriver(address: socket)) == socket)
            #expect(client.migrate(from: socket, to: pair.serverAddress, kind: .punched))
            try await network.sleep(for: .seconds(1))
            #expect(client.path == ConnectionPath(kind: .punched, local: socket, remote: pair.serverAddress))
            #expect(server.path.remote == socket)
            #expect(!client.migrate(from: socket, to: pair.serverAddress, kind: .punched), "it is there")
            #expect(try await exchange(client, pattern(200_000)) == pattern(200_000))
            #expect(client.abandonPath(for: pair.clientAddress, remote: pair.serverAddress, kind: .direct))
            pair.client.removeSocket(socket)
            #expect(!network.isTaken(socket))
            try await network.sleep(for: .seconds(1))
            #expect(client.path.local == pair.clientAddress && server.path.remote == pair.clientAddress)
            #expect(try await exchange(client, pattern(200_000)) == pattern(200_000))
        }
    }

    @Test("a server answers from the socket that the client has moved to, and takes no new connection there")
    func server() async throws {
        try await withPair { pair, network in
            let (client, server) = try await pair.connectBoth()
            try await network.sleep(for: .milliseconds(200))
            let socket = host(1, port: 7_000)
            #expect(pair.server.addSocket(network.makeDriver(address: socket)) == socket)
            #expect(client.migrate(to: socket, kind: .punched))
            try await network.sleep(for: .seconds(1))
            #expect(client.path.remote == socket && server.path.local == socket)
            #expect(try await exchange(client, pattern(200_000)) == pattern(200_000))
            await #expect(throws: QUICError.self) {
                _ = try await pair.client.connect(to: socket, expecting: pair.server.nodeID)
            }
        }
    }

    /// Who guesses the port of a further socket is not told that he has: not even by a stateless reset.
    @Test func aStrangerIsNotAnswered() async throws {
        try await withPair { pair, network in
            let socket = host(1, port: 7_000)
            #expect(pair.server.addSocket(network.makeDriver(address: socket)) == socket)
            let answers = Box<[SocketAddress]>([])
            network.filter = { _, from, to in
                if to == pair.clientAddress { answers.value.append(from) }
                return true
            }
            for target in [socket, pair.serverAddress] {
                let packet = [0x41] + [UInt8](repeating: 9, count: 99)
                network.send(packet, from: pair.clientAddress, to: target, ecn: 0)
                try await network.sleep(for: .seconds(1))
            }
            #expect(answers.value.allSatisfy { $0 == pair.serverAddress } && !answers.value.isEmpty)
        }
    }

    /// By the kernel, whose sockets are bound to a wildcard and tell where a packet came to.
    @Test func bothBySocketsOfTheKernel() async throws {
        let anywhere = SocketAddress(.v4Any, port: 0)
        try await withKernelSockets { server, client in
            let connection = try await client.connect(
                to: SocketAddress(.v4Loopback, port: server.localAddresses[0].port), expecting: server.nodeID)
            #expect(try await exchange(connection, pattern(1_000)) == pattern(1_000))
            let own = try #require(client.addSocket(try UDPDriver(bind: [anywhere])))
            let others = try #require(server.addSocket(try UDPDriver(bind: [anywhere])))
            let target = SocketAddress(.v4Loopback, port: others.port)
            for (socket, remote) in [(own, connection.path.remote ?? target), (own, target)] {
                let ended = Waiter<Bool>()
                connection.onMigrationEnd = { ended.resume(returning: $0) }
                // The second begins where the first has led: another address of the peer's, from the client's own socket.
                let hasBegun =
                    connection.path.local == socket
                    ? connection.migrate(to: remote, kind: .punched)
                    : connection.migrate(from: socket, to: remote, kind: .punched)
                #expect(hasBegun)
                #expect(try await ended.value())
                #expect(connection.path.remote == remote)
                #expect(try await exchange(connection, pattern(500_000)) == pattern(500_000))
            }
        }
    }

    @Test func aPortIsTakenOnce() async throws {
        try await withPair { pair, network in
            let socket = host(2, port: 6_000)
            #expect(pair.client.addSocket(network.makeDriver(address: socket)) != nil)
            #expect(pair.client.addSocket(network.makeDriver(address: host(3, port: 6_000))) == nil)
            #expect(pair.client.addSocket(network.makeDriver(address: host(3, port: 5_000))) == nil, "the own one's")
            #expect(!network.isTaken(host(3, port: 6_000)) && !network.isTaken(host(3, port: 5_000)), "closed")
            #expect(pair.client.socket(at: socket) == socket && pair.client.socket(at: pair.clientAddress) == nil)
            pair.client.close()
            #expect(!network.isTaken(socket))
        }
    }

    /// Takes nothing.
    private final class FullSocket: PacketDriver {
        let localAddresses = [host(2, port: 6_000)]

        func start(_ sink: any PacketSink) {}
        func send(_ burst: PacketBurst) -> SendOutcome { .blocked }
        func knownDatagramSize(to remote: SocketAddress) -> Int? { nil }
        func close() {}
    }

    @Test("one that is closed while it is full keeps nothing else waiting")
    func blocked() async throws {
        try await withPair { pair, network in
            let (client, _) = try await pair.connectBoth()
            let socket = try #require(pair.client.addSocket(FullSocket()))
            pair.client.sendForeign([0x20], to: pair.serverAddress, from: socket)
            #expect(!pair.client.canSend)
            pair.client.removeSocket(socket)
            #expect(pair.client.canSend)
            #expect(try await exchange(client, pattern(10_000)) == pattern(10_000))
        }
    }
}
