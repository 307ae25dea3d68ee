internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// Asks relays and other STUN servers how they see the socket that QUIC uses.
@NetworkActor
final class AddressObserver {
    /// Observers asked at once.
    static let observerLimit = 6
    /// When, after the first time, a request is repeated.
    static let repetitions: [Duration] = [.milliseconds(120), .milliseconds(300)]
    /// How long answers are waited for, where round trips are short; and how much longer for the rest once one has come.
    static let leastDeadline = Duration.milliseconds(500)
    static let patience = Duration.milliseconds(100)
    /// How long an answer is good for: shorter than what NATs keep an idle mapping for (RFC 4787 REQ-5).
    static let lifetime = Duration.seconds(20)
    /// How long one that has not answered is not waited for again, where another has.
    static let silence = Duration.seconds(5)

    /// Observers remembered.
    static let memory = 64

    private struct Request {
        let observer: SocketAddress
        var transaction: STUNTransaction
    }

    private let endpoint: Endpoint
    private let stun: STUNService
    private var requests: [STUNTransactionID: Request] = [:]
    private var answers: [SocketAddress: (mapped: SocketAddress, at: NetworkInstant)] = [:]
    private var askedAt: [SocketAddress: NetworkInstant] = [:]
    /// The observers, those that were asked first before the others.
    private var order: [SocketAddress] = []
    private var underway: SharedTask<Void>?
    private var answered: Waiter<Void>?

    init(_ endpoint: Endpoint, stun: STUNService) {
        (self.endpoint, self.stun) = (endpoint, stun)
    }

    private var clock: any NetworkClock { endpoint.clock }

    /// What the observers say, as far as they answer in time; fresh answers are not asked for again.
    ///
    /// - Parameter patience: how long answers may take where that is long.
    func observations(
        of observers: [SocketAddress], within patience: Duration = .zero
    ) async -> [PortPrediction.Observation] {
        let wanted = Array(observers.prefix(Self.observerLimit))
        let isAnswered = !wanted.allSatisfy(isStale)
        let stale = wanted.filter { isStale($0) && !(isAnswered && isSilent($0)) }
        if !stale.isEmpty { await ask(stale, max(Self.leastDeadline, patience)) }
        return order.compactMap { observer in
            guard wanted.contains(where: { $0.ip == observer.ip }), let answer = answers[observer] else { return nil }
            return PortPrediction.Observation(observer: observer, mapped: answer.mapped)
        }
    }

    private func isStale(_ observer: SocketAddress) -> Bool {
        answers[observer].map { clock.now.duration(since: $0.at) >= Self.lifetime } ?? true
    }

    private func isSilent(_ observer: SocketAddress) -> Bool {
        askedAt[observer].map { clock.now.duration(since: $0) < Self.silence } ?? false
    }

    /// The network has changed: nothing that was said of it holds.
    func forget() {
        (answers, askedAt) = ([:], [:])
        order = []
    }

    private func ask(_ observers: [SocketAddress], _ deadline: Duration) async {
        // The work throws nothing, and whoever is cancelled has no use for it.
        if let underway { return _ = try? await underway.value() }
        let task = SharedTask { [self] in
            defer { underway = nil }
            await run(observers, deadline)
        }
        underway = task
        // The same.
        _ = try? await task.value()
    }

    private func run(_ observers: [SocketAddress], _ deadline: Duration) async {
        if order.count + observers.count > Self.memory { forget() }
        let ids = observers.map { observer in
            answers[observer] = nil
            return begin(with: observer)
        }
        let end = clock.now.advanced(by: deadline)
        var due = [Duration.zero] + Self.repetitions
        let start = clock.now
        var hasAnswer = false
        // Cancelled, it can wait for nothing any more.
        while !requests.isEmpty, !Task.isCancelled {
            while let next = due.first, start.advanced(by: next) <= clock.now {
                due.removeFirst()
                for request in ids.compactMap({ requests[$0] }) {
                    endpoint.sendForeign(request.transaction.request.bytes, to: request.observer)
                }
            }
            let limit = hasAnswer ? min(end, clock.now.advanced(by: Self.patience)) : end
            guard clock.now < end else { break }
            let wake = due.first.map { min(limit, start.advanced(by: $0)) } ?? limit
            let count = answers.count
            await wait(until: wake)
            if answers.count > count { hasAnswer = true } else if hasAnswer, clock.now >= limit { break }
        }
        for id in requests.keys { self.end(id) }
    }

    private func begin(with observer: SocketAddress) -> STUNTransactionID {
        // A NAT that has a mapping keeps it: what counts is who was asked first.
        if !order.contains(observer) { order.append(observer) }
        askedAt[observer] = clock.now
        stun.wrote(to: observer)
        var random = endpoint.configuration.random
        let message = STUNMessage.bindingRequest(.random(using: &random))
        requests[message.transaction] = Request(
            observer: observer, transaction: STUNTransaction(message, timing: .interactive, now: clock.now))
        stun.expect(message.transaction) { [weak self] message, datagram in
            self?.receive(message, from: datagram.remote)
        }
        return message.transaction
    }

    private func end(_ id: STUNTransactionID) {
        requests[id] = nil
        stun.forget(id)
    }

    /// An observer's second port (RFC 5780 section 7.4): for a NAT that looks at ports it is another observer.
    private func askToo(_ other: SocketAddress) {
        guard isStale(other), !requests.values.contains(where: { $0.observer == other }) else { return }
        let id = begin(with: other)
        if let request = requests[id] { endpoint.sendForeign(request.transaction.request.bytes, to: other) }
    }

    private func wait(until instant: NetworkInstant) async {
        let waiter = Waiter<Void>()
        answered = waiter
        let token = clock.schedule(at: instant) { waiter.resume(returning: ()) }
        defer { clock.cancel(token) }
        // Answered, the time is over, or cancelled: what is known by now counts.
        try? await waiter.value()
        answered = nil
    }

    private func receive(_ message: STUNMessage, from remote: SocketAddress) {
        guard var request = requests[message.transaction], request.observer == remote else { return }
        switch request.transaction.handle(message, from: remote, now: clock.now) {
        case .ignore: return
        case .failed: end(message.transaction)
        case .succeeded(let binding):
            end(message.transaction)
            guard AddressRule.isPlausible(binding.mapped.ip, by: request.observer.ip) else { break }
            answers[request.observer] = (binding.mapped, clock.now)
            if let other = binding.other, other.ip == request.observer.ip { askToo(other) }
        }
        answered?.resume(returning: ())
    }
}
