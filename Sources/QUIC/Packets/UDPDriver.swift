internal import CQUICShim
import Glibc
internal import Identity

/// UDP sockets on epoll: receives with recvmmsg and GRO, sends bursts with GSO, carries ECN and source addresses.
@NetworkActor
public final class UDPDriver: PacketDriver {
    /// Messages of one recvmmsg, each up to 64 KiB (a GRO train).
    static let messagesPerRead = 8
    static let messageSize = 65_536
    /// recvmmsg calls before other work gets its turn.
    static let readsPerTurn = 4
    /// Asked for as socket buffers; the kernel caps it at net.core.rmem_max and wmem_max for ordinary users.
    static let socketBuffer: Int32 = 4 * 1024 * 1024
    /// Datagrams to the same machine: the loopback device's MTU is 65,536, and this packs seven into a GSO burst.
    static let sameHostDatagram = 8_900

    private struct Socket {
        let descriptor: Int32
        let address: SocketAddress
        var wantsWritable = false
    }

    private var sockets: [Socket]
    private weak var sink: (any PacketSink)?
    private let memory = Memory(byteCount: messagesPerRead * messageSize)
    private var buffers: UnsafeMutableRawBufferPointer { memory.bytes }
    private var received = [dep2p_received](repeating: dep2p_received(), count: messagesPerRead)
    private var segmentationWorks = true
    private var sameHost: [IPAddress: Bool] = [:]

    /// Binds one socket for each address (at most one a family).
    ///
    /// - Throws: ``BindError`` naming the address and the system's reason.
    public init(bind addresses: [SocketAddress]) throws(BindError) {
        sockets = []
        for address in addresses {
            var raw = address.raw
            let descriptor = dep2p_udp_open(&raw, Self.socketBuffer)
            guard descriptor >= 0, dep2p_udp_local_address(descriptor, &raw) == 0 else {
                for socket in sockets { Glibc.close(socket.descriptor) }
                throw BindError(address: address, errno: -descriptor)
            }
            sockets.append(Socket(descriptor: descriptor, address: SocketAddress(raw)))
        }
    }

    public var localAddresses: [SocketAddress] { sockets.map(\.address) }

    public func start(_ sink: any PacketSink) {
        self.sink = sink
        for index in sockets.indices {
            NetworkActor.executor.add(descriptor: sockets[index].descriptor, events: .readable) { [weak self] events in
                self?.handle(events, socket: index)
            }
        }
    }

    public func close() {
        for socket in sockets {
            NetworkActor.executor.remove(descriptor: socket.descriptor)
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
        NetworkActor.executor.change(descriptor: sockets[index].descriptor, events: .readable)
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
        if let first = train.first, RelayFrame.isType(first), let sink,
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

    public func send(_ burst: PacketBurst) -> SendOutcome {
        guard let index = sockets.firstIndex(where: { $0.address.ip.family == burst.remote.ip.family }) else {
            return .failed(EAFNOSUPPORT)
        }
        if segmentationWorks || burst.bytes.count <= burst.segment {
            let result = send(burst, socket: index, range: 0..<burst.bytes.count)
            // EIO: the device cannot checksum segments; EINVAL: the kernel does not know the option.
            guard burst.bytes.count > burst.segment, result == .failed(EIO) || result == .failed(EINVAL) else {
                return result
            }
            segmentationWorks = false
        }
        return sendSingly(burst, socket: index)
    }

    private func sendSingly(_ burst: PacketBurst, socket index: Int) -> SendOutcome {
        var offset = 0
        while offset < burst.bytes.count {
            let end = min(offset + burst.segment, burst.bytes.count)
            let outcome = send(burst, socket: index, range: offset..<end)
            if outcome == .blocked && offset == 0 { return .blocked }
            offset = end
        }
        return .sent
    }

    private func send(_ burst: PacketBurst, socket index: Int, range: Range<Int>) -> SendOutcome {
        var local = burst.local.raw
        var remote = burst.remote.raw
        let bytes = UnsafeRawBufferPointer(rebasing: burst.bytes[range])
        let status = dep2p_udp_send(
            sockets[index].descriptor, &local, &remote, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
            bytes.count, burst.segment, burst.ecn)
        switch -status {
        case 0: return .sent
        case EAGAIN, ENOBUFS:
            if !sockets[index].wantsWritable {
                sockets[index].wantsWritable = true
                NetworkActor.executor.change(
                    descriptor: sockets[index].descriptor, events: [.readable, .writable])
            }
            return .blocked
        case let error: return .failed(error)
        }
    }

    public func knownDatagramSize(to remote: SocketAddress) -> Int? {
        if let known = sameHost[remote.ip] { return known ? Self.sameHostDatagram : nil }
        var raw = remote.raw
        let isLocal = dep2p_address_is_local(&raw) != 0
        if sameHost.count >= 1024 { sameHost.removeAll() }
        sameHost[remote.ip] = isLocal
        return isLocal ? Self.sameHostDatagram : nil
    }
}

/// A UDP address that could not be bound.
public struct BindError: Error, Equatable, Sendable, CustomStringConvertible {
    public let address: SocketAddress
    public let errno: Int32

    public var description: String { "cannot listen on \(address): \(String(cString: strerror(errno)))" }
}
