internal import CDeP2PReactor
internal import DeP2PIdentity
import Glibc

/// UDP sockets on epoll: receives with recvmmsg and GRO, sends bursts with GSO, carries ECN and source addresses.
@NetworkActor
package final class UDPDriver: PacketDriver {
    /// Messages of one recvmmsg, each up to 64 KiB (a GRO train).
    static let messagesPerRead = 8
    static let messageSize = 65_536
    /// recvmmsg calls before other work gets its turn.
    static let readsPerTurn = 4
    /// Asked for as socket buffers; the kernel caps it at net.core.rmem_max and wmem_max for ordinary users.
    static let socketBuffer: Int32 = 4 * 1024 * 1024
    /// Datagrams to the same machine: the loopback device's MTU is 65,536, and this packs seven into a GSO burst.
    static let sameHostDatagram = 8_900
    /// Datagrams that the kernel takes in one burst: UDP_MAX_SEGMENTS of kernels before 6.9; it was doubled then.
    package static let segmentsPerCall = 64
    /// Bytes that it takes at once: 65,535 less the headers of IP and UDP, rounded down.
    package static let bytesPerCall = 65_000
    /// Hosts of which it is known whether they are this one, and for how long: addresses come and go.
    private static let rememberedHosts = 1_024
    private static let rememberedFor = Duration.seconds(10)

    private struct Socket {
        let descriptor: Int32
        let address: SocketAddress
        var watch: DescriptorWatch?
        var wantsWritable = false
    }

    private var sockets: [Socket]
    private weak var sink: (any PacketSink)?
    /// With the first datagram: of many sockets that are opened to be met by chance, few ever get one.
    private lazy var memory = Memory(byteCount: Self.messagesPerRead * Self.messageSize)
    private var buffers: UnsafeMutableRawBufferPointer { memory.bytes }
    private var received = [dep2p_received](repeating: dep2p_received(), count: messagesPerRead)
    /// Whether the kernel cuts bursts into datagrams; asked once.
    private let segments: Bool
    private var unsegmented = Unsegmented()
    private var sameHost: [IPAddress: (isLocal: Bool, until: NetworkInstant)] = [:]
    /// Bursts, or parts of one, that the kernel was given.
    package private(set) var systemCalls = 0

    /// Binds one socket for each address (at most one a family).
    ///
    /// - Throws: ``BindError`` naming the address and the system's reason.
    package convenience init(bind addresses: [SocketAddress]) throws(BindError) {
        var opened: [Socket] = []
        for address in addresses {
            do {
                opened.append(try Self.open(address))
            } catch {
                for socket in opened { Glibc.close(socket.descriptor) }
                throw error
            }
        }
        self.init(opened)
    }

    /// One socket in a multicast group, at the group's port of every address; other programs may share the port.
    ///
    /// It receives what is sent to the group on that interface, by this machine too, and sends over that interface.
    ///
    /// - Parameters:
    ///   - group: with port 0 for a free one.
    ///   - interface: its index (if_nametoindex(3)); 0 for the one that the route to the group leads over.
    /// - Throws: ``BindError`` naming the group and the system's reason.
    package convenience init(group: SocketAddress, interface: UInt32) throws(BindError) {
        let socket = try Self.open(
            SocketAddress(group.ip.family == .v4 ? .v4Any : .v6Any, port: group.port), isShared: true)
        var raw = group.raw
        let status = dep2p_udp_join(socket.descriptor, &raw, interface)
        guard status == 0 else {
            Glibc.close(socket.descriptor)
            throw BindError(address: group, errno: -status)
        }
        self.init([socket])
    }

    private init(_ opened: [Socket]) {
        sockets = opened
        segments = opened.allSatisfy { dep2p_udp_segments($0.descriptor) != 0 }
    }

    private static func open(_ address: SocketAddress, isShared: Bool = false) throws(BindError) -> Socket {
        var raw = address.raw
        let descriptor = dep2p_udp_open(&raw, socketBuffer, isShared ? 1 : 0)
        let status = descriptor < 0 ? descriptor : dep2p_udp_local_address(descriptor, &raw)
        guard status == 0 else {
            if descriptor >= 0 { Glibc.close(descriptor) }
            throw BindError(address: address, errno: -status)
        }
        return Socket(descriptor: descriptor, address: SocketAddress(raw))
    }

    package var localAddresses: [SocketAddress] { sockets.map(\.address) }

    package func start(_ sink: any PacketSink) {
        self.sink = sink
        for index in sockets.indices {
            sockets[index].watch = DescriptorWatch(sockets[index].descriptor, for: .readable) { [weak self] events in
                self?.handle(events, socket: index)
            }
        }
    }

    package func close() {
        for socket in sockets {
            socket.watch?.cancel()
            Glibc.close(socket.descriptor)
        }
        sockets = []
        sink = nil
    }

    // MARK: Receiving

    private func handle(_ events: PollEvents, socket index: Int) {
        guard index < sockets.count else { return }
        if events.contains(.failed) { takeErrors(socket: index) }
        if events.contains(.readable) { receive(socket: index) }
        guard events.contains(.writable), index < sockets.count, sockets[index].wantsWritable else { return }
        sockets[index].wantsWritable = false
        sockets[index].watch?.change(to: .readable)
        sink?.driverIsWritable()
    }

    private func receive(socket index: Int) {
        for _ in 0..<Self.readsPerTurn {
            guard index < sockets.count, let base = buffers.baseAddress else { return }
            let socket = sockets[index]
            let count = received.withUnsafeMutableBufferPointer { items in
                dep2p_udp_receive(
                    socket.descriptor, base.assumingMemoryBound(to: UInt8.self), Self.messageSize, items.baseAddress,
                    Int32(items.count), socket.address.port)
            }
            guard count > 0 else { return }
            for message in 0..<Int(count) {
                deliver(received[message], bytes: base + message * Self.messageSize)
            }
            if count < Self.messagesPerRead { return }
        }
    }

    /// Splits a GRO train into its datagrams.
    private func deliver(_ message: dep2p_received, bytes: UnsafeMutableRawPointer) {
        let local = SocketAddress(message.local)
        let remote = SocketAddress(message.remote)
        let length = Int(message.length)
        let segment = max(Int(message.segment), 1)
        let train = UnsafeMutableRawBufferPointer(start: bytes, count: length)
        if let first = train.first, let sink, sink.forwards(first),
            sink.forward(train: train, segment: segment, local: local, remote: remote, ecn: message.ecn)
        {
            return
        }
        var offset = 0
        while offset < length {
            let size = min(segment, length - offset)
            sink?.receive(
                UnsafeMutableRawBufferPointer(start: bytes + offset, count: size), local: local, remote: remote,
                ecn: message.ecn)
            offset += size
        }
    }

    private func takeErrors(socket index: Int) {
        for _ in 0..<64 {
            guard index < sockets.count else { return }
            var destination = dep2p_address()
            let error = dep2p_udp_take_error(sockets[index].descriptor, &destination)
            guard error != 0 else { return }
            if error != EMSGSIZE { sink?.driverReportsUnreachable(SocketAddress(destination), errno: error) }
        }
    }

    // MARK: Sending

    package func send(_ burst: PacketBurst) -> SendOutcome {
        guard let index = sockets.firstIndex(where: { $0.address.ip.family == burst.remote.ip.family }) else {
            return .failed(EAFNOSUPPORT)
        }
        guard burst.bytes.count > burst.segment else { return send(burst, socket: index, range: 0..<burst.bytes.count) }
        guard burst.segment > 0 else { return .failed(EINVAL) }
        let isCut = !segments || unsegmented.contains(burst.remote.ip)
        let size = isCut ? burst.segment : Self.mostAtOnce(segment: burst.segment)
        return inParts(burst, of: size, 0..<burst.bytes.count) { range in
            let outcome = send(burst, socket: index, range: range)
            guard range.count > burst.segment, case .failed(let error) = outcome, error == EIO || error == EINVAL
            else { return outcome }
            // Not the option's fault but this destination's, if at all: IPsec takes no segments (EIO), older kernels
            // none larger than the path (EINVAL), and a source address that is gone fails either way.
            let single = inParts(burst, of: burst.segment, range) { send(burst, socket: index, range: $0) }
            if single == .sent { unsegmented.insert(burst.remote.ip) }
            return single
        }
    }

    /// Bytes that the kernel takes in one call: so many whole datagrams, of so many bytes in all.
    package static func mostAtOnce(segment: Int) -> Int {
        max(min(segmentsPerCall, bytesPerCall / segment), 1) * segment
    }

    /// Sends the range part by part. What comes after a first part that the socket took is lost when it is not taken, as
    /// if on the way.
    private func inParts(
        _ burst: PacketBurst, of size: Int, _ range: Range<Int>, _ send: (Range<Int>) -> SendOutcome
    ) -> SendOutcome {
        var offset = range.lowerBound
        while offset < range.upperBound {
            let end = min(offset + size, range.upperBound)
            let outcome = send(offset..<end)
            if outcome != .sent, offset == range.lowerBound { return outcome }
            offset = end
        }
        return .sent
    }

    private func send(_ burst: PacketBurst, socket index: Int, range: Range<Int>) -> SendOutcome {
        var local = burst.local.raw
        var remote = burst.remote.raw
        let bytes = UnsafeRawBufferPointer(rebasing: burst.bytes[range])
        systemCalls &+= 1
        let status = dep2p_udp_send(
            sockets[index].descriptor, &local, &remote, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
            bytes.count, burst.segment, burst.ecn)
        switch -status {
        case 0: return .sent
        // A queue of this machine's is full: lost, as if on the way. The socket goes on to take what is sent, so that who waits for
        // that would try again without end.
        case ENOBUFS: return .sent
        case EAGAIN:
            if !sockets[index].wantsWritable {
                sockets[index].wantsWritable = true
                sockets[index].watch?.change(to: [.readable, .writable])
            }
            return .blocked
        case let error: return .failed(error)
        }
    }

    package func knownDatagramSize(to remote: SocketAddress) -> Int? {
        let now = NetworkExecutor.monotonicNow()
        if let known = sameHost[remote.ip], now < known.until { return known.isLocal ? Self.sameHostDatagram : nil }
        var raw = remote.raw
        let isLocal = dep2p_address_is_local(&raw) != 0
        if sameHost.count >= Self.rememberedHosts { sameHost.removeAll() }
        sameHost[remote.ip] = (isLocal, now.advanced(by: Self.rememberedFor))
        return isLocal ? Self.sameHostDatagram : nil
    }
}

/// Destinations whose bursts this machine has to cut up itself, for a while: routes and IPsec policies change. Bounded.
private struct Unsegmented {
    static let limit = 256
    static let rememberedFor = Duration.seconds(60)

    private var until: [IPAddress: NetworkInstant] = [:]

    mutating func contains(_ destination: IPAddress) -> Bool {
        guard !until.isEmpty, let end = until[destination] else { return false }
        if NetworkExecutor.monotonicNow() < end { return true }
        until[destination] = nil
        return false
    }

    mutating func insert(_ destination: IPAddress) {
        if until.count >= Self.limit { until.removeAll() }
        until[destination] = NetworkExecutor.monotonicNow().advanced(by: Self.rememberedFor)
    }
}
