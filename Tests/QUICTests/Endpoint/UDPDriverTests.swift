import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// The kernel's sockets, over the loopback device.
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct UDPDriverTests {
    private func endpoint(_ addresses: [SocketAddress]) throws -> Endpoint {
        let endpoint = try Endpoint(key: .generate(), driver: try UDPDriver(bind: addresses))
        endpoint.onConnection = { serveEcho($0) }
        endpoint.start()
        return endpoint
    }

    private func roundTrip(_ client: Endpoint, _ server: Endpoint, at address: SocketAddress) async throws {
        let connection = try await client.connect(to: address, expecting: server.nodeID)
        let reply = try await exchange(connection, pattern(300_000))
        #expect(reply == pattern(300_000))
        #expect(connection.path.remote == address)
        connection.close(code: 0)
    }

    @Test func bothFamilies() async throws {
        for ip in [IPAddress.v4Loopback, .v6Loopback] {
            let (server, client) = (
                try endpoint([SocketAddress(ip, port: 0)]), try endpoint([SocketAddress(ip, port: 0)])
            )
            defer {
                client.close()
                server.close()
            }
            #expect(server.localAddresses[0].port != 0)
            try await roundTrip(client, server, at: server.localAddresses[0])
        }
    }

    @Test func oneEndpointOnBothFamilies() async throws {
        let wildcard = [SocketAddress(.v4Any, port: 0), SocketAddress(.v6Any, port: 0)]
        let (server, client) = (try endpoint(wildcard), try endpoint(wildcard))
        defer {
            client.close()
            server.close()
        }
        #expect(server.localAddresses.count == 2)
        for (address, ip) in zip(server.localAddresses, [IPAddress.v4Loopback, .v6Loopback]) {
            try await roundTrip(client, server, at: SocketAddress(ip, port: address.port))
        }
    }

    @Test func saysWhenTheFamilyIsMissing() async throws {
        let client = try endpoint([SocketAddress(.v4Loopback, port: 0)])
        defer { client.close() }
        let error = await failure {
            _ = try await client.connect(to: SocketAddress(.v6Loopback, port: 9), expecting: nil)
        }
        #expect(error as? QUICError == QUICError(.unreachable, ""))
    }

    @Test func nothingListeningIsRefusedLongBeforeTheTimeout() async throws {
        for ip in [IPAddress.v4Loopback, .v6Loopback] {
            let client = try endpoint([SocketAddress(ip, port: 0)])
            defer { client.close() }
            let gone = try UDPDriver(bind: [SocketAddress(ip, port: 0)])
            let address = gone.localAddresses[0]
            gone.close()
            let error = await failure { _ = try await client.connect(to: address, expecting: nil) }
            let quic = try #require(error as? QUICError)
            #expect(quic.code == .refused && quic.message.contains("\(address)"))
            #expect(client.connections.isEmpty)
        }
    }

    /// An ICMP error can be forged by anyone on the path, so it never ends a connection that works.
    @Test func aRefusalEndsNoLiveConnection() async throws {
        let (server, client) = (
            try endpoint([SocketAddress(.v4Loopback, port: 0)]), try endpoint([SocketAddress(.v4Loopback, port: 0)])
        )
        defer {
            client.close()
            server.close()
        }
        let connection = try await client.connect(to: server.localAddresses[0], expecting: nil)
        client.driverReportsUnreachable(server.localAddresses[0], errno: 111)
        let reply = try await exchange(connection, [1, 2])
        #expect(reply == [1, 2])
    }

    @Test func anAddressInUseSaysSo() throws {
        let first = try UDPDriver(bind: [SocketAddress(.v4Loopback, port: 0)])
        defer { first.close() }
        let taken = first.localAddresses[0]
        do throws(BindError) {
            _ = try UDPDriver(bind: [SocketAddress(.v6Loopback, port: 0), taken])
            Issue.record("bound twice")
        } catch {
            #expect(error.address == taken && error.errno == 98)
            #expect(error.description.contains("\(taken)"))
        }
    }

    @Test func oversizedDatagramsAreLostAndHarmless() async throws {
        let (server, client) = (
            try endpoint([SocketAddress(.v4Loopback, port: 0)]), try endpoint([SocketAddress(.v4Loopback, port: 0)])
        )
        defer {
            client.close()
            server.close()
        }
        let connection = try await client.connect(to: server.localAddresses[0], expecting: nil)
        client.sendForeign([UInt8](repeating: 0, count: 70_000), to: server.localAddresses[0])
        client.sendForeign([], to: server.localAddresses[0])
        let reply = try await exchange(connection, pattern(100_000))
        #expect(reply == pattern(100_000))
    }

    /// What one send looked like says nothing about the next (issue 7.8): bursts that no kernel takes at once, those whose
    /// source address is gone, and those larger than the path leave segmentation as it is.
    @Test func anOddBurstTurnsNothingOff() async throws {
        let loopback = SocketAddress(.v4Loopback, port: 0)
        let (sender, receiver) = (try UDPDriver(bind: [loopback]), try UDPDriver(bind: [loopback]))
        defer {
            sender.close()
            receiver.close()
        }
        let count = Counter()
        receiver.start(count)
        func send(_ datagrams: Int, of size: Int, from local: SocketAddress? = nil) -> (SendOutcome, calls: UInt64) {
            let before = UInt64(sender.systemCalls)
            let outcome = [UInt8](repeating: 7, count: datagrams * size).withUnsafeBytes { bytes in
                sender.send(
                    PacketBurst(
                        bytes: bytes, segment: size, local: local ?? sender.localAddresses[0],
                        remote: receiver.localAddresses[0], ecn: 0))
            }
            return (outcome, UInt64(sender.systemCalls) - before)
        }
        func arrived(_ datagrams: Int) async throws {
            let end = SystemNetworkClock.shared.now.advanced(by: .seconds(10))
            while count.datagrams < datagrams, SystemNetworkClock.shared.now < end {
                try await SystemNetworkClock.shared.sleep(for: .milliseconds(2))
            }
            #expect(count.datagrams == datagrams)
            count.datagrams = 0
        }
        #expect(send(40, of: 1_200) == (.sent, 1))
        try await arrived(40)
        #expect(send(1_365, of: 10) == (.sent, 22))
        try await arrived(1_365)
        #expect(send(108, of: 600) == (.sent, 2))
        try await arrived(108)
        let gone = SocketAddress(IPAddress(v4: 0xc000_0201), port: sender.localAddresses[0].port)
        let (outcome, _) = send(40, of: 1_200, from: gone)
        #expect(outcome != .sent)
        #expect(send(40, of: 1_200) == (.sent, 1))
        try await arrived(40)
    }

    @Test func burstsAreCutToWhatTheKernelTakes() {
        for segment in [1, 9, 10, 600, 1_015, 1_016, 1_200, 1_472, 8_900, 40_000, 65_000, 70_000] {
            let size = UDPDriver.mostAtOnce(segment: segment)
            #expect(size % segment == 0 && size >= segment && size / segment <= UDPDriver.segmentsPerCall)
            #expect(size <= max(UDPDriver.bytesPerCall, segment))
        }
    }

    @Test func foreignDatagramsShareTheSocket() async throws {
        let (server, client) = (
            try endpoint([SocketAddress(.v4Loopback, port: 0)]), try endpoint([SocketAddress(.v4Loopback, port: 0)])
        )
        defer {
            client.close()
            server.close()
        }
        let arrived = Waiter<Datagram>()
        server.datagrams.take(.stun) { arrived.resume(returning: $0) }
        client.sendForeign([0x01, 2, 3], to: server.localAddresses[0])
        let datagram = try await arrived.value()
        #expect(datagram.bytes == [0x01, 2, 3] && datagram.remote == client.localAddresses[0])
    }

    @Test func closesWhileSending() async throws {
        for _ in 0..<5 {
            let (server, client) = (
                try endpoint([SocketAddress(.v4Loopback, port: 0)]), try endpoint([SocketAddress(.v4Loopback, port: 0)])
            )
            let connection = try await client.connect(to: server.localAddresses[0], expecting: nil)
            let stream = try await connection.openStream()
            let writing = networkTask {
                for _ in 0..<10_000 { try await stream.write(Chunk(pattern(65_536))) }
            }
            _ = try await stream.read()
            client.close(code: 1, reason: "done")
            let error = await failure { try await writing.value }
            #expect((error as? StreamError)?.code == .connectionClosed)
            server.close()
        }
    }
}

/// Counts what arrives.
@NetworkActor
private final class Counter: PacketSink {
    var datagrams = 0

    func receive(_ bytes: UnsafeMutableRawBufferPointer, local: SocketAddress, remote: SocketAddress, ecn: UInt8) {
        datagrams += 1
    }

    func driverIsWritable() {}
    func driverReportsUnreachable(_ remote: SocketAddress, errno: Int32) {}
}
