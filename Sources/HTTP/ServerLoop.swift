internal import CDeP2PReactor
internal import Dispatch
internal import Glibc
internal import Synchronization

/// The server's one thread: takes connections, reads heads, writes answers, and lets go of who takes too long.
///
/// Content is made elsewhere and comes in through ``deliver(_:for:)``, from any thread.
final class ServerLoop: @unchecked Sendable {
    // Proof for @unchecked: `inbox` is guarded by its mutex and the descriptors never change; every other property is touched
    // only in `run`, which is called once.

    private typealias Instant = ContinuousClock.Instant

    private struct Inbox {
        var contents: [(route: String, content: LocalContent)] = []
        var isStopped = false
    }

    /// Connections taken before others get their turn.
    private static let acceptsPerTurn = 16
    /// How long nothing is accepted when the process has no descriptor left.
    private static let exhaustionPause = Duration.milliseconds(200)

    private let listener: Int32
    private let isUnix: Bool
    private let wake: Int32
    private let rules: RequestRules
    private let routes: [String: LocalRoute]
    private let limits: LocalHTTPServer.Limits
    private let inbox = Mutex(Inbox())
    private let clock = ContinuousClock()
    private let ended = DispatchSemaphore(value: 0)

    private var connections: [UInt64: LocalConnection] = [:]
    private var gate: ConnectionGate<UInt64>
    private var cache = ContentCache<UInt64, Instant>()
    private var nextID: UInt64 = 0
    private var acceptsAgain: Instant

    init(
        _ listener: Int32, isUnix: Bool, _ rules: RequestRules, _ routes: [String: LocalRoute],
        _ limits: LocalHTTPServer.Limits
    ) {
        (self.listener, self.isUnix) = (listener, isUnix)
        (self.rules, self.routes, self.limits) = (rules, routes, limits)
        wake = dep2p_wake_create()
        gate = ConnectionGate(limit: limits.connections)
        acceptsAgain = ContinuousClock().now
    }

    deinit { if wake >= 0 { close(wake) } }

    func start() {
        DispatchQueue(label: "dep2p.introspection").async { [self] in
            run()
            ended.signal()
        }
    }

    /// Ends the thread and every connection; waits for that.
    func stop() {
        inbox.withLock { $0.isStopped = true }
        dep2p_wake_signal(wake)
        ended.wait()
    }

    private func deliver(_ content: LocalContent, for route: String) {
        inbox.withLock { $0.contents.append((route, content)) }
        dep2p_wake_signal(wake)
    }

    // MARK: The thread

    private func run() {
        withUnsafeTemporaryAllocation(byteCount: 16 * 1024, alignment: 16) { buffer in
            while turn(buffer) {}
        }
        for connection in connections.values { close(connection.descriptor) }
        connections = [:]
        close(listener)
    }

    /// - Returns: whether there is another.
    private func turn(_ buffer: UnsafeMutableRawBufferPointer) -> Bool {
        let ids = Array(connections.keys)
        let isAccepting = acceptsAgain <= clock.now
        var polled = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
        polled.append(pollfd(fd: isAccepting ? listener : -1, events: Int16(POLLIN), revents: 0))
        for id in ids {
            guard let connection = connections[id] else { continue }
            polled.append(pollfd(fd: connection.descriptor, events: connection.interest, revents: 0))
        }
        guard poll(&polled, nfds_t(polled.count), patience(isAccepting)) >= 0 || errno == EINTR else { return false }
        if polled[0].revents != 0 { dep2p_wake_drain(wake) }
        let news = inbox.withLock { inbox in
            defer { inbox.contents = [] }
            return inbox
        }
        guard !news.isStopped else { return false }
        for (route, content) in news.contents { made(content, for: route) }
        for (index, id) in ids.enumerated() where polled[index + 2].revents != 0 {
            happened(polled[index + 2].revents, id, buffer)
        }
        if polled[1].revents != 0 { accept() }
        expire()
        return true
    }

    /// Milliseconds until something's time is over; -1 is for ever.
    private func patience(_ isAccepting: Bool) -> Int32 {
        var next = connections.values.map(\.deadline).min()
        if !isAccepting { next = min(next ?? acceptsAgain, acceptsAgain) }
        guard let next else { return -1 }
        let milliseconds = clock.now.duration(to: next) / .milliseconds(1)
        return Int32(max(0, min(milliseconds, 60_000)).rounded(.up))
    }

    private func accept() {
        for _ in 0..<Self.acceptsPerTurn {
            var address = dep2p_address()
            let accepted = isUnix ? dep2p_unix_accept(listener) : dep2p_tcp_accept(listener, &address)
            if [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(-accepted) {
                return acceptsAgain = clock.now.advanced(by: Self.exhaustionPause)
            }
            guard accepted >= 0 else { return }
            nextID += 1
            connections[nextID] = LocalConnection(accepted, now: clock.now, limits: limits)
            if let displaced = gate.enter(nextID) { drop(displaced) }
        }
    }

    private func happened(_ events: Int16, _ id: UInt64, _ buffer: UnsafeMutableRawBufferPointer) {
        guard var connection = connections[id] else { return }
        if events & Int16(POLLOUT) != 0 {
            let goesOn = connection.writable(now: clock.now, limits: limits)
            connections[id] = connection
            return goesOn ? () : drop(id)
        }
        // Who hangs up while it waits for its answer wants none.
        guard connection.interest != 0, events & Int16(POLLIN) != 0 else { return drop(id) }
        let outcome = connection.readable(buffer, limits: limits)
        connections[id] = connection
        switch outcome {
        case .nothing, .read(.incomplete): break
        case .gone: drop(id)
        case .read(.refused(let status, let text)): answer(id, Response(refusing: status, text))
        case .read(.head(let head)): asked(head, id)
        }
    }

    private func asked(_ head: RequestRules.Head, _ id: UInt64) {
        switch rules.verdict(head) {
        case .refuse(let status, let text): answer(id, Response(refusing: status, text))
        case .answer(let name, let isHeadOnly):
            guard let route = routes[name] else { return drop(id) }
            connections[id]?.wait(for: name, isHeadOnly: isHeadOnly)
            switch cache.request(name, by: id, now: clock.now) {
            case .take(let content): answer(id, Response(content, route, isHeadOnly: isHeadOnly))
            case .wait: break
            // It outlives the loop at most by what it takes to make the content.
            case .make: Task { [self] in deliver(await route.content(), for: name) }
            }
        }
    }

    private func made(_ content: LocalContent, for name: String) {
        for id in cache.made(content, for: name, now: clock.now) {
            guard case .waiting(name, let isHeadOnly)? = connections[id]?.state else { continue }
            answer(id, Response(content, routes[name], isHeadOnly: isHeadOnly))
        }
    }

    private func answer(_ id: UInt64, _ response: Response) {
        connections[id]?.answer(response)
        // Most often it all fits, and there is nothing to wait for.
        if connections[id]?.writable(now: clock.now, limits: limits) == false { drop(id) }
    }

    private func expire() {
        let now = clock.now
        for (id, connection) in connections where connection.deadline <= now {
            if case .reading = connection.state {
                answer(id, Response(refusing: 408, "no request came in time"))
            } else {
                drop(id)
            }
        }
    }

    private func drop(_ id: UInt64) {
        gate.leave(id)
        if let connection = connections.removeValue(forKey: id) { close(connection.descriptor) }
    }
}
