import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// One connection that moves between paths (RFC 9000 9).
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct MigrationTests {
    /// A second socket of the client's host, as a leg of its endpoint.
    private func addLeg(_ pair: TestPair, _ address: SocketAddress) {
        let driver = pair.network.makeDriver(address: address)
        driver.start(pair.client)
        pair.client.addLeg(driver, local: address)
    }

    @Test func movesToAnotherAddressAndBack() async throws {
        try await withPair { pair, network in
            let (client, server) = try await pair.connectBoth()
            let changes = Box<[SocketAddress?]>([])
            client.onPathChange = { changes.value.append($0.local) }
            let second = host(3, port: 6_000)
            addLeg(pair, second)
            let transfer = networkTask { try await exchange(client, pattern(1_000_000)) }
            try await network.sleep(for: .milliseconds(200))
            #expect(client.migrate(local: second, remote: pair.serverAddress, kind: .punched))
            try await network.sleep(for: .seconds(3))
            #expect(client.path == ConnectionPath(kind: .punched, local: second, remote: pair.serverAddress))
            #expect(server.path.remote == second)
            #expect(changes.value == [second])
            let third = host(4, port: 6_000)
            addLeg(pair, third)
            #expect(client.migrate(local: third, remote: pair.serverAddress, kind: .direct))
            try await network.sleep(for: .seconds(3))
            #expect(server.path.remote == third && client.path.kind == .direct)
            #expect(try await transfer.value == pattern(1_000_000))
        }
    }

    /// By real sockets, whose packets come in at another address than the bound one: a better way to the same peer begins
    /// at the socket of the present one.
    @Test func movesToAnotherAddressOfThePeersFromOneSocket() async throws {
        try await withKernelSockets { server, client in
            let port = server.localAddresses[0].port
            let addresses = [1, 2, 3].map { SocketAddress(IPAddress(v4: 0x7f00_0000 + UInt32($0)), port: port) }
            let connection = try await client.connect(to: addresses[0], expecting: server.nodeID)
            #expect(try await exchange(connection, pattern(1_000)) == pattern(1_000))
            for next in [addresses[1], addresses[2], addresses[0], addresses[1]] {
                let moved = Waiter<Bool>()
                connection.onMigrationEnd = { moved.resume(returning: $0) }
                let transfer = networkTask { try await exchange(connection, pattern(1_000_000)) }
                #expect(connection.migrate(to: next, kind: .direct))
                #expect(!connection.migrate(to: addresses[2], kind: .direct), "one at a time")
                #expect(try await moved.value() && connection.path.remote == next)
                #expect(try await transfer.value == pattern(1_000_000))
            }
            // Off a path that is given up, without waiting for what comes of the next.
            #expect(!connection.abandonPath(to: addresses[1], kind: .direct), "it is there")
            #expect(connection.abandonPath(to: addresses[0], kind: .direct) && connection.path.remote == addresses[0])
            #expect(try await exchange(connection, pattern(1_000_000)) == pattern(1_000_000))
        }
    }

    @Test func aDeadPathLeavesTheOldOneInUse() async throws {
        try await withPair { pair, network in
            let (client, server) = try await pair.connectBoth()
            let second = host(3, port: 6_000)
            addLeg(pair, second)
            network.filter = { _, from, to in from != second && to != second }
            try await network.sleep(for: .seconds(1))
            #expect(client.migrate(local: second, remote: pair.serverAddress, kind: .punched))
            #expect(try await exchange(client, pattern(100_000)) == pattern(100_000))
            try await network.sleep(for: .seconds(5))
            #expect(client.path.local == pair.clientAddress && server.path.remote == pair.clientAddress)
        }
    }

    @Test func onlyTheClientMovesAndOnlyElsewhere() async throws {
        try await withPair { pair, network in
            let (client, server) = try await pair.connectBoth()
            try await network.sleep(for: .seconds(1))
            #expect(!server.migrate(local: host(8), remote: pair.clientAddress, kind: .direct))
            #expect(!client.migrate(local: pair.clientAddress, remote: pair.serverAddress, kind: .direct))
            client.close(code: 0)
            #expect(!client.migrate(local: host(3), remote: pair.serverAddress, kind: .direct))
        }
    }

    /// A NAT that changes its mapping: the same connection arrives from another address.
    @Test func followsAReboundPeer() async throws {
        try await withPair { pair, network in
            let (client, server) = try await pair.connectBoth()
            let rebound = host(9, port: 7_777)
            let nat = DatagramSocket(network.makeDriver(address: rebound))
            nat.onDatagram = { datagram in
                network.send(datagram.bytes, from: pair.serverAddress, to: pair.clientAddress, ecn: 0)
            }
            network.filter = { bytes, from, to in
                guard from == pair.clientAddress, to == pair.serverAddress else { return true }
                nat.send(bytes, to: to)
                return false
            }
            #expect(try await exchange(client, pattern(50_000)) == pattern(50_000))
            #expect(server.path.remote == rebound)
            nat.close()
        }
    }

    /// Issue 7.5 and 7.7: the peer, or whoever sees its packets, writes another's address on one.
    @Test func aForgedSourceIsNotThePeersAddress() async throws {
        try await withPair { pair, network in
            let (client, server) = try await pair.connectBoth()
            #expect(server.validatedPeer == pair.clientAddress && server.subject == Subject(pair.clientAddress.ip))
            try await network.sleep(for: .seconds(1))
            let victim = host(66, port: 6_666)
            network.filter = { bytes, from, to in
                guard from == pair.clientAddress else { return true }
                network.send(bytes, from: victim, to: to, ecn: 0)
                return false
            }
            let stream = try await client.openStream()
            try await stream.write(Chunk([1, 2, 3]))
            try await network.sleep(for: .milliseconds(100))
            #expect(server.path.remote == victim)
            #expect(server.validatedPeer == pair.clientAddress && server.subject == Subject(pair.clientAddress.ip))
            network.filter = nil
            try await network.sleep(for: .seconds(5))
            #expect(server.validatedPeer == pair.clientAddress && server.path.remote == pair.clientAddress)
        }
    }

    @Test func theProvenAddressFollowsThePeer() async throws {
        try await withPair { pair, network in
            let (client, server) = try await pair.connectBoth()
            try await network.sleep(for: .seconds(1))
            for number in [UInt32(3), 4] {
                let next = host(number, port: 6_000)
                addLeg(pair, next)
                #expect(client.migrate(local: next, remote: pair.serverAddress, kind: .direct))
                _ = try await exchange(client, pattern(10_000))
                try await network.sleep(for: .seconds(5))
                #expect(server.validatedPeer == next && server.subject == Subject(next.ip))
                #expect(client.validatedPeer == pair.serverAddress)
            }
        }
    }
}
