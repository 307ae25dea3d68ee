internal import DeP2PIdentity
internal import DeP2PReactor

/// One dial over TCP, which a narrow hop does not stop for good.
///
/// Where a hop drops long packets without a word, TCP sends the same ones again until it gives up: Linux shortens them only where
/// the administrator has said so (`net.ipv4.tcp_mtu_probing`, off as it comes). So segments are ``SegmentSize/usual`` from the
/// beginning, and where TCP stands but no QUIC connection over it in time, a second one with ``SegmentSize/least`` is made beside
/// it; the one over which a QUIC connection stands first is taken. Whoever dials may give up earlier than that: the next dial
/// of that host makes both at once.
///
/// Calling order: ``run()``, once.
@NetworkActor
final class TCPDial {
    /// From when TCP stands until the least segments are tried too: longer where TCP took long.
    nonisolated static let patience = Duration.milliseconds(1_500)
    nonisolated static let longestPatience = Duration.seconds(4)
    /// For how long nothing came over TCP, at the least, in a dial that is worth a suspicion.
    nonisolated static let silence = Duration.milliseconds(400)

    private struct Success: Sendable {
        let connection: Connection
        let segments: SegmentSize
    }

    private let remote: SocketAddress
    private let expecting: NodeID?
    private let endpoint: Endpoint
    private let context: TLSContext
    private let outcome = Waiter<Success>()
    private var attempts: [Task<Void, Never>] = []
    private var underWay = 0
    /// What the usual segments' attempt ended with, or else the other's.
    private var error: (any Error)?
    private var timer: TimerToken?
    /// When TCP stood with the usual segments, and how long it took.
    private var connected: (at: NetworkInstant, after: Duration)?

    init(to remote: SocketAddress, expecting: NodeID?, from endpoint: Endpoint, context: TLSContext) {
        (self.remote, self.expecting, self.endpoint, self.context) = (remote, expecting, endpoint, context)
    }

    private var now: NetworkInstant { endpoint.clock.now }

    /// - Throws: ``QUICError``: what the attempt with the usual segments ended with, when none succeeds.
    func run() async throws -> Connection {
        let finding = endpoint.narrowHosts.finding(of: remote.ip, now: now)
        defer {
            timer.map(endpoint.clock.cancel)
            for attempt in attempts { attempt.cancel() }
        }
        // The usual ones first: where both come through, they are likely to be ahead.
        if finding != .narrow { begin(.usual) }
        if finding != nil { begin(.least) }
        do {
            let success = try await outcome.value()
            // Not anew from a dial that tried nothing else: or it would never be found out that the hop is gone.
            if finding != .narrow { learn(from: success.segments) }
            return success.connection
        } catch is CancellationError {
            suspect()
            throw QUICError(.cancelled, "the dial was cancelled")
        }
    }

    private func learn(from segments: SegmentSize) {
        switch segments {
        case .usual: endpoint.narrowHosts.forget(remote.ip)
        case .least: endpoint.narrowHosts.note(.narrow, of: remote.ip, now: now)
        }
    }

    private func suspect() {
        guard let connected, now.duration(since: connected.at) >= max(Self.silence, connected.after * 4) else { return }
        endpoint.narrowHosts.note(.suspected, of: remote.ip, now: now)
    }

    private func begin(_ segments: SegmentSize) {
        underWay += 1
        attempts.append(
            networkTask { [self] in
                do {
                    let connection = try await attempt(segments)
                    guard !outcome.isResolved else { return connection.close(code: 0) }
                    outcome.resume(returning: Success(connection: connection, segments: segments))
                } catch {
                    failed(error, segments)
                }
            })
    }

    private func failed(_ error: any Error, _ segments: SegmentSize) {
        underWay -= 1
        if self.error == nil || segments == .usual { self.error = error }
        if underWay == 0, let error = self.error { outcome.resume(throwing: error) }
    }

    private func attempt(_ segments: SegmentSize) async throws -> Connection {
        let leg = try TCPLeg(connectingTo: remote, segments: segments, context: context, clock: endpoint.clock)
        if segments == .usual {
            let begun = now
            leg.onConnected = { [weak self] in self?.stood(since: begun) }
        }
        endpoint.add(leg)
        do {
            try await leg.waitOpen()
            let connection = try await endpoint.connect(to: leg.remote, from: leg.local, expecting: expecting)
            connection.onClose.append { [weak leg] _ in leg?.close() }
            return connection
        } catch {
            leg.close()
            throw error
        }
    }

    private func stood(since begun: NetworkInstant) {
        guard timer == nil, !outcome.isResolved else { return }
        let took = now.duration(since: begun)
        connected = (now, took)
        guard attempts.count == 1 else { return }
        let wait = min(max(Self.patience, took * 6), Self.longestPatience)
        timer = endpoint.clock.schedule(after: wait) { [weak self] in
            guard let self, !outcome.isResolved, !endpoint.isClosed else { return }
            begin(.least)
        }
    }
}
