import DeP2PIdentity
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PReactor

/// The kernel's sockets, over the loopback device.
@Suite(.timeLimit(.minutes(1)))
@NetworkActor
struct DatagramSocketTests {
    /// Groups of one's own network (RFC 2365, RFC 4291 section 2.7).
    private let group = IPAddress(v4: 0xefff_07b5)
    private let otherGroup = IPAddress(v4: 0xefff_07b6)
    private let groupV6 = IPAddress(v6High: 0xff12_0000_0000_0000, low: 0xde_b2b0)

    private var loopback: UInt32 {
        get throws {
            let index = if_nametoindex("lo")
            return try #require(index != 0 ? index : nil, "no interface lo")
        }
    }

    private func next(of socket: DatagramSocket) -> Waiter<[UInt8]> {
        let waiter = Waiter<[UInt8]>()
        socket.onDatagram = { waiter.resume(returning: $0.bytes) }
        return waiter
    }

    @Test func aGroupsMembersShareAPortAndHearEachOther() async throws {
        let first = try DatagramSocket(group: SocketAddress(group, port: 0), interface: loopback)
        let port = first.localAddress.port
        let second = try DatagramSocket(group: SocketAddress(group, port: port), interface: loopback)
        let stranger = try DatagramSocket(group: SocketAddress(otherGroup, port: port), interface: loopback)
        let (atFirst, atSecond, atStranger) = (next(of: first), next(of: second), next(of: stranger))
        #expect(port != 0)
        first.send([1, 2, 3], to: SocketAddress(group, port: port))
        first.send([4], to: SocketAddress(otherGroup, port: port))
        // The sender is a member like any other.
        #expect(try await atFirst.value() == [1, 2, 3])
        #expect(try await atSecond.value() == [1, 2, 3])
        #expect(try await atStranger.value() == [4])
        for socket in [first, second, stranger] { socket.close() }
    }

    /// The loopback device has no route for IPv6 groups, so the kernel's list of members has to do.
    @Test func groupsOfIPv6AreJoinedAndLeft() throws {
        func isMember() throws -> Bool {
            let file = try #require(fopen("/proc/net/igmp6", "re"))
            defer { fclose(file) }
            var bytes = [UInt8](repeating: 0, count: 65_536)
            let count = fread(&bytes, 1, bytes.count, file)
            return String(decoding: bytes.prefix(count), as: UTF8.self)
                .contains("ff12000000000000" + "0000000000deb2b0")
        }
        #expect(try !isMember())
        let socket = try DatagramSocket(group: SocketAddress(groupV6, port: 0), interface: loopback)
        #expect(try isMember() && socket.localAddress.port != 0)
        socket.close()
        #expect(try !isMember())
    }

    @Test func whatCannotBeJoinedIsAnError() async {
        let error = await failure {
            _ = try DatagramSocket(group: SocketAddress(group, port: 0), interface: 0x7fff_ffff)
        }
        #expect(error as? BindError == BindError(address: SocketAddress(group, port: 0), errno: ENODEV))
        #expect(throws: BindError.self) {
            // No group's address.
            try DatagramSocket(group: SocketAddress(.v4Loopback, port: 0), interface: 0)
        }
    }

    @Test func whatIsBeyondTheBudgetIsDropped() async throws {
        let server = try DatagramSocket(
            bind: SocketAddress(.v4Loopback, port: 0), budget: StrangerBudget(largest: 100))
        let client = try DatagramSocket(bind: SocketAddress(.v4Loopback, port: 0))
        let arrived = next(of: server)
        client.send([UInt8](repeating: 1, count: 101), to: server.localAddress)
        client.send([UInt8](repeating: 2, count: 100), to: server.localAddress)
        #expect(try await arrived.value() == [UInt8](repeating: 2, count: 100))
        server.close()
        client.close()
    }
}
