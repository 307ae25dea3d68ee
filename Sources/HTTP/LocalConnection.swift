internal import Glibc

/// One connection, for one request: reading its head → waiting for the content → writing → draining, and then it is gone.
///
/// While it drains, what still comes is read and dropped until the other side closes: closing over it would take the answer
/// away (RFC 9112 section 9.6). Requests that a client sends ahead are such, as the answer's `Connection: close` says.
struct LocalConnection {
    typealias Instant = ContinuousClock.Instant

    enum State {
        case reading([UInt8])
        case waiting(route: String, isHeadOnly: Bool)
        case writing(Response, sent: Int)
        case draining
    }

    let descriptor: Int32
    /// When its time is over, whatever it is doing.
    let end: Instant
    private(set) var state = State.reading([])
    /// When the time for what it is doing now is over.
    private(set) var deadline: Instant

    init(_ descriptor: Int32, now: Instant, limits: LocalHTTPServer.Limits) {
        self.descriptor = descriptor
        end = now.advanced(by: limits.lifetime)
        deadline = now.advanced(by: limits.headPatience)
    }

    /// What poll(2) is to look for.
    var interest: Int16 {
        switch state {
        case .reading, .draining: Int16(POLLIN)
        case .waiting: 0
        case .writing: Int16(POLLOUT)
        }
    }

    /// Reads of a turn: others get theirs.
    private static let readsPerTurn = 4

    enum OnReadable {
        case nothing
        /// The head, or what is wrong with it, is there.
        case read(RequestHead.Reading)
        case gone
    }

    mutating func readable(_ buffer: UnsafeMutableRawBufferPointer, limits: LocalHTTPServer.Limits) -> OnReadable {
        for _ in 0..<Self.readsPerTurn {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
            guard count > 0 else { return count < 0 && (errno == EAGAIN || errno == EINTR) ? .nothing : .gone }
            guard case .reading(let head) = state else { continue }
            let bytes = head + buffer[..<count]
            state = .reading(bytes)
            let reading = RequestHead.read(bytes, limits: limits)
            if reading != .incomplete { return .read(reading) }
        }
        return .nothing
    }

    mutating func wait(for route: String, isHeadOnly: Bool) {
        state = .waiting(route: route, isHeadOnly: isHeadOnly)
        deadline = end
    }

    mutating func answer(_ response: Response) {
        state = .writing(response, sent: 0)
        deadline = end
    }

    /// - Returns: whether the connection goes on.
    mutating func writable(now: Instant, limits: LocalHTTPServer.Limits) -> Bool {
        guard case .writing(let response, var sent) = state else { return true }
        while sent < response.count {
            let isHead = sent < response.head.count
            let (part, offset) = isHead ? (response.head, sent) : (response.content, sent - response.head.count)
            let count = part.withUnsafeBytes { bytes in
                send(
                    descriptor, bytes.baseAddress?.advanced(by: offset), bytes.count - offset,
                    Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else {
                state = .writing(response, sent: sent)
                return count < 0 && (errno == EAGAIN || errno == EINTR)
            }
            sent += count
        }
        state = .draining
        deadline = min(end, now.advanced(by: limits.lingering))
        return shutdown(descriptor, Int32(SHUT_WR)) == 0
    }
}
