internal import DeP2PReactor
internal import DequeModule

/// Has the application's validators judge messages, away from the network thread, in turns of each peer's.
///
/// So many are judged at once; those that wait are bounded by what each peer may have unverified. Who takes longer than
/// ``patience`` has said that it is to be ignored, and keeps its place until it returns. What others send too waits on their
/// account as well: what the first has waiting there does not hold it up. Whose turn has not come by then has no verdict.
@NetworkActor
final class TopicJudge {
    static let concurrency = 32
    /// Less than what an author's next message waits for this one (``DeliveryOrder/patience``).
    static let patience = Duration.seconds(4)
    /// Those that wait for a place, decided or not: while validators that never return hold all of them nobody is taken out.
    static let waitingLimit = 196_608
    /// Those that others have sent too take a third of that, and each so many more places.
    static let moreSources = 3

    private final class Case {
        /// `nil` once it is decided: what waits for its turn to be forgotten holds nothing.
        var message: PubSubMessage?
        let source: PubSubRouter.PeerKey
        var isRunning = false
        var moreSources = 0
        let validators: [TopicValidator]
        let deadline: NetworkInstant
        var isDecided: Bool { message == nil }

        init(
            _ message: PubSubMessage, from source: PubSubRouter.PeerKey, _ validators: [TopicValidator],
            deadline: NetworkInstant
        ) { (self.message, self.source, self.validators, self.deadline) = (message, source, validators, deadline) }
    }

    private let clock: any NetworkClock
    private let timer: WakeTimer
    private var waiting = PeerTurns<Case>()
    /// Not decided, or decided of late: the first due first.
    private var open = Deque<Case>()
    /// Of those, who has no verdict yet.
    private var cases: [PubSubMessage.ID: Case] = [:]
    private var running = 0
    /// Whether they are asked on the network thread: on virtual time, which would run on while they are asked elsewhere.
    var isInline = false
    /// Told of each case once.
    var onVerdict: (@NetworkActor (PubSubMessage, PubSubRouter.Verdict?, PubSubRouter.PeerKey) -> Void)?

    init(clock: any NetworkClock) {
        (self.clock, timer) = (clock, WakeTimer(clock))
        timer.onWake = { [weak self] in self?.expire() }
    }

    func judge(_ message: PubSubMessage, from source: PubSubRouter.PeerKey, by validators: [TopicValidator]) {
        if let one = cases[message.id] {
            guard !one.isRunning, one.moreSources < Self.moreSources, waiting.count < Self.waitingLimit / 3 else {
                return
            }
            one.moreSources += 1
            waiting.add(one, from: source)
            return begin()
        }
        let one = Case(message, from: source, validators, deadline: clock.now.advanced(by: Self.patience))
        guard waiting.count < Self.waitingLimit else { return decide(one, nil) }
        open.append(one)
        cases[message.id] = one
        waiting.add(one, from: source)
        begin()
        arm()
    }

    private func begin() {
        while running < Self.concurrency, let one = waiting.take(1).first {
            guard let message = one.message, !one.isRunning else { continue }
            one.isRunning = true
            running += 1
            networkTask { [self] in
                let verdict = await verdict(on: message, by: one.validators)
                running -= 1
                decide(one, verdict)
                begin()
                arm()
            }
        }
    }

    private func verdict(
        on message: PubSubMessage, by validators: [TopicValidator]
    ) async -> PubSubRouter.Verdict {
        if isInline { return await Self.verdict(on: message, by: validators) }
        return await withCheckedContinuation { continuation in
            Task.detached(executorPreference: globalConcurrentExecutor) {
                continuation.resume(returning: await Self.verdict(on: message, by: validators))
            }
        }
    }

    private nonisolated static func verdict(
        on message: PubSubMessage, by validators: [TopicValidator]
    ) async -> PubSubRouter.Verdict {
        var verdict = PubSubRouter.Verdict.accept
        for validator in validators {
            switch await validator(message) {
            case .accept: break
            case .ignore: verdict = .ignore
            case .reject: return .reject
            }
        }
        return verdict
    }

    private func decide(_ one: Case, _ verdict: PubSubRouter.Verdict?) {
        guard let message = one.message else { return }
        one.message = nil
        if cases[message.id] === one { cases[message.id] = nil }
        onVerdict?(message, verdict, one.source)
    }

    private func expire() {
        while let first = open.first, first.isDecided || first.deadline <= clock.now {
            open.removeFirst()
            decide(first, first.isRunning ? .ignore : nil)
        }
        arm()
    }

    private func arm() {
        while open.first?.isDecided ?? false { open.removeFirst() }
        timer.set(open.first?.deadline)
    }
}
