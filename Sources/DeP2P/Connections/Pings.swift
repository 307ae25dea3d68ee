public import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// How often a node is pinged, and how long an answer is waited for.
public struct PingOptions: Hashable, Sendable {
    /// After so many there are no more; `nil`: until whoever reads them stops.
    public var count: Int?
    /// From the start of one to the start of the next, at the least.
    public var interval = Duration.seconds(1)
    /// How long the answer to one is waited for.
    public var timeout = Duration.seconds(10)
    /// After so long there are no more, and none is waited for longer; `nil` is for ever. There is one at least.
    public var duration: Duration?
    /// Whether one follows at once when the connection has taken another path, and not after the interval.
    public var followsPath = false

    public init(count: Int? = nil) {
        self.count = count
    }
}

/// What came of one ping.
public struct PingReply: Equatable, Sendable {
    /// From 1.
    public let number: Int
    /// How long the answer took; `nil` when none came within ``waited``.
    public let roundTrip: Duration?
    /// How long an answer was waited for.
    public let waited: Duration
    /// The connection's path when the answer came, or was given up.
    public let path: ConnectionPath
}

/// Pings to one node: `for try await reply in connection.pings() { … }`.
///
/// Each is sent when the reader asks for it, so a reader that is slow pings less. They share one stream, which is opened
/// with the first and ends with the last, with the loop, and with an error.
public struct Pings: AsyncSequence, Sendable {
    public typealias Element = PingReply
    public typealias Failure = DeP2PError

    let session: Session
    let options: PingOptions

    public func makeAsyncIterator() -> Iterator { Iterator(run: PingRun(session, options)) }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let run: PingRun

        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(DeP2PError) -> PingReply? { try await run.next() }
    }
}

@NetworkActor
extension NodeConnection {
    /// Measures one round trip to the other side, dep2p or libp2p.
    ///
    /// - Returns: how long it took.
    /// - Throws: ``DeP2PError``: `timeout`, `unsupported` when the other node knows no ping.
    public func ping(timeout: Duration = PingOptions().timeout) async throws(DeP2PError) -> Duration {
        var options = PingOptions(count: 1)
        options.timeout = timeout
        let run = PingRun(session, options)
        let reply = try await run.next()
        run.end()
        guard let time = reply?.roundTrip else { throw DeP2PError(.timeout, "no answer in time", remedy: .waitLonger) }
        return time
    }

    /// Pings the other side, dep2p or libp2p, again and again.
    public nonisolated func pings(_ options: PingOptions = PingOptions()) -> Pings {
        Pings(session: session, options: options)
    }
}

/// One reader's pings: idle → asked for the first, which opens the stream → … → over.
@NetworkActor
private final class PingRun {
    private let session: Session
    private let options: PingOptions
    private var pinger: Pinger?
    private var sent = 0
    private var lastStart: NetworkInstant?
    private var lastPath: ConnectionPath?
    private var deadline: NetworkInstant?
    private var pause: Waiter<Void>?
    private var pathHandler: UInt64?
    private var isOver = false

    nonisolated init(_ session: Session, _ options: PingOptions) {
        (self.session, self.options) = (session, options)
    }

    /// A loop that is left does not say so.
    deinit {
        let (session, pinger, pathHandler) = (session, pinger, pathHandler)
        guard pinger != nil else { return }
        networkTask {
            pinger?.close()
            if let pathHandler { session.removePathHandler(pathHandler) }
        }
    }

    func next() async throws(DeP2PError) -> PingReply? {
        do {
            guard !isOver, options.count.map({ sent < $0 }) ?? true, let reply = try await reply() else {
                end()
                return nil
            }
            return reply
        } catch {
            end()
            throw DeP2PError(error)
        }
    }

    func end() {
        isOver = true
        pinger?.close()
        pinger = nil
        if let pathHandler { session.removePathHandler(pathHandler) }
        pathHandler = nil
    }

    private func reply() async throws -> PingReply? {
        let pinger = try await opened()
        if let lastStart { try await wait(until: lastStart.advanced(by: options.interval)) }
        let start = session.clock.now
        let left = deadline.map { $0.duration(since: start) }
        if sent > 0, left == .zero { return nil }
        sent += 1
        lastStart = start
        let patience = min(options.timeout, left ?? options.timeout)
        let time = try await roundTrip(pinger, within: patience)
        let path = session.path
        lastPath = path
        return PingReply(number: sent, roundTrip: time, waited: patience, path: path)
    }

    private func opened() async throws -> Pinger {
        if let pinger { return pinger }
        let pinger = try await session.clock.withDeadline(options.timeout) { [session] in
            try await Ping.open(session)
        }
        self.pinger = pinger
        deadline = options.duration.map { session.clock.now.advanced(by: $0) }
        if options.followsPath {
            pathHandler = session.onPathChange { [weak self] _ in self?.pause?.resume(returning: ()) }
        }
        return pinger
    }

    private func roundTrip(_ pinger: Pinger, within patience: Duration) async throws -> Duration? {
        do {
            return try await pinger.ping(timeout: patience)
        } catch let error as SessionError where error.code == .timeout {
            return nil
        }
    }

    /// Or until the path is another one, where that is followed.
    private func wait(until due: NetworkInstant) async throws {
        guard session.clock.now < due else { return }
        if options.followsPath, session.path != lastPath { return }
        let pause = Waiter<Void>()
        self.pause = pause
        let token = session.clock.schedule(at: due) { pause.resume(returning: ()) }
        defer {
            session.clock.cancel(token)
            self.pause = nil
        }
        try await pause.value()
    }
}
