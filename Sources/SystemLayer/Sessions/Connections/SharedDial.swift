internal import DeP2PIdentity
internal import DeP2PReactor

/// One dial under way, and everybody who waits for it: who asks for the node meanwhile adds addresses, and waits as long
/// as they want to. It ends when the last of them has given up.
///
/// Calling order: ``join(_:isErrand:)``, perhaps ``search(_:for:known:admits:)``, and ``complete()`` for each who asks, then
/// ``session(within:)``.
@NetworkActor
final class SharedDial {
    /// Makes a session of a connection, or refuses to; the last says whether it is an errand.
    typealias Adopt = @NetworkActor (any SecureConnection, [ConnectAttempt], Bool) throws -> Session

    /// Askers who have room of their own for addresses; further ones share the last's.
    static let askerLimit = 4

    private let dial: any Dial
    private let clock: any NetworkClock
    /// When its first packets were about to go.
    let beganAt: NetworkInstant
    private var work: Task<Void, Never>?
    private var result: Result<Session, any Error>?
    private var waiters: [Waiter<Session>] = []
    private var askers = 0
    private var isSearching = false
    private var searches: [Task<Void, Never>] = []
    private var searchesUnderWay = 0
    private var searchBegan: NetworkInstant?
    /// What came of the searches so far.
    private var reports: [SourceReport] = []
    /// Whether it has been told to end; nobody can join it then.
    private(set) var isOver = false
    /// Whether nobody of those who ask wants the node itself.
    private var isErrand = true
    private let onEnd: @NetworkActor (SharedDial) -> Void

    /// - Parameters:
    ///   - adopt: makes a session of the connection, or refuses to.
    ///   - onEnd: called once, when it can be joined no more.
    init(
        _ dial: any Dial, clock: any NetworkClock, adopt: @escaping Adopt,
        onEnd: @escaping @NetworkActor (SharedDial) -> Void
    ) {
        self.dial = dial
        self.clock = clock
        beganAt = clock.now
        self.onEnd = onEnd
        work = networkTask { [self] in
            do {
                let (connection, attempts) = try await dial.value()
                finish(.success(try adopt(connection, attempts, isErrand)))
            } catch {
                finish(.failure(explained(error)))
            }
        }
    }

    /// Adds what somebody who asks for the node knows of it.
    ///
    /// - Returns: false when it is too late for that.
    func join(_ addresses: [Address], isErrand: Bool = false) -> Bool {
        askers += 1
        if !isErrand { self.isErrand = false }
        return !isOver && dial.add(addresses, for: min(askers, Self.askerLimit))
    }

    /// Nobody adds more, but for searches under way.
    func complete() {
        if searchesUnderWay == 0 { dial.noMoreCandidates() }
    }

    /// Adds what is known, and what sources find as long as the dial runs; once, whoever asks for it.
    ///
    /// - Parameter admits: which of what is found may be dialled.
    func search(
        _ sources: [any AddressSource], for nodeID: NodeID, known: [Address],
        admits: @escaping @NetworkActor (FoundAddresses) -> [Address]
    ) {
        guard !isSearching, !isOver else { return }
        isSearching = true
        searchBegan = clock.now
        if !known.isEmpty { reports.append(SourceReport("known", addresses: known.count, elapsed: .zero)) }
        let first = reports.count
        reports += sources.map { SourceReport($0.name) }
        let answers = sources.map { $0.answer(of: nodeID) }
        searchesUnderWay = answers.count { $0 == nil }
        if searchesUnderWay > 0 { dial.moreCandidates() }
        dial.add(known, for: 0)
        for (index, (source, answer)) in zip(sources, answers).enumerated() {
            if let answer {
                take(admits(answer), answer.detail, from: index, report: first + index)
                reports[first + index].elapsed = .zero
                continue
            }
            searches.append(
                networkTask { [weak self] in
                    for await found in source.addresses(of: nodeID) {
                        self?.take(admits(found), found.detail, from: index, report: first + index)
                    }
                    self?.searchEnded(report: first + index)
                })
        }
    }

    private func take(_ addresses: [Address], _ detail: String?, from source: Int, report: Int) {
        reports[report].addresses += addresses.count
        if let detail { reports[report].detail = detail }
        dial.add(addresses, for: -1 - source)
    }

    private func searchEnded(report: Int) {
        reports[report].elapsed = searchBegan.map { clock.now.duration(since: $0) }
        searchesUnderWay -= 1
        complete()
    }

    private func explained(_ error: any Error) -> any Error {
        guard var error = error as? ConnectError else { return error }
        error.sources = reports
        return error
    }

    /// The session that comes of it.
    ///
    /// - Parameter patience: how long this caller waits.
    /// - Throws: ``ConnectError``; `CancellationError` at once when the waiting task is cancelled.
    func session(within patience: Duration) async throws -> Session {
        if let result { return try result.get() }
        let waiter = Waiter<Session>()
        waiters.append(waiter)
        let token = clock.schedule(after: patience) { [self] in
            let silence = TransportFailure(.timeout, detail: "no answer within \(patience)")
            waiter.resume(throwing: explained(dial.error(givenUp: silence)))
        }
        defer {
            clock.cancel(token)
            waiters.removeAll { $0 === waiter }
            if waiters.isEmpty { cancel() }
        }
        return try await waiter.value()
    }

    func cancel() {
        work?.cancel()
        end()
    }

    private func finish(_ result: Result<Session, any Error>) {
        self.result = result
        end()
        for waiter in waiters { waiter.resume(with: result) }
        work = nil
    }

    private func end() {
        guard !isOver else { return }
        isOver = true
        for search in searches { search.cancel() }
        searches = []
        onEnd(self)
    }
}
