internal import DeP2PApp
internal import DeP2PReactor

/// What a node receives: messages and transfers, all that come, or one thing alone. ``Node/receive(into:policy:messages:events:)``
/// makes it.
@NetworkActor
public final class Inbox {
    /// How long a message waits for a transfer that may break off; its sender has a timeout of its own.
    private static let messagePatience = Duration.seconds(5)

    private let policy: InboxPolicy
    private let clock: any NetworkClock
    /// Where what broke off can't be taken back: the one thing that was wanted would come again behind it.
    private let isWrittenAsItComes: Bool
    private let place: OncePlace
    /// How the one thing that is wanted came, or why none can come any more.
    private var outcome: Result<Void, any Error>?
    private var waiting: [Waiter<Void>] = []
    /// Transfers under way that may be asked about.
    private var arriving: [IncomingTransfer: Arrival] = [:]

    private struct Arrival {
        var hasPlace = false
        var bytes: UInt64 = 0
    }

    init(_ policy: InboxPolicy, isWrittenAsItComes: Bool, clock: any NetworkClock) {
        self.policy = policy
        self.isWrittenAsItComes = isWrittenAsItComes
        self.clock = clock
        place = OncePlace(once: policy.takesOne)
    }

    /// Waits until the one thing that the policy takes has arrived; where it takes everything, until the task is cancelled.
    /// May be called again, and by several tasks.
    ///
    /// - Parameter timeout: how long to wait for it to begin; what is arriving by then goes on to its end. `nil` is for ever.
    /// - Returns: whether it has arrived.
    /// - Throws: ``DeP2PError`` when what came in part can't be taken back, or can't be written; `CancellationError`.
    public func wait(beginningWithin timeout: Duration? = nil) async throws -> Bool {
        guard let timeout else {
            try await untilOutcome()
            return true
        }
        return try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask { [self] in
                try await untilOutcome()
                return true
            }
            group.addTask { [clock, place] in
                try await clock.sleep(for: timeout)
                try await place.waitUntilFree()
                return false
            }
            defer { group.cancelAll() }
            if try await group.next() == true { return true }
            // It may have come at the same moment.
            try outcome?.get()
            return outcome != nil
        }
    }

    private func untilOutcome() async throws {
        if let outcome { return try outcome.get() }
        let waiter = Waiter<Void>()
        waiting.append(waiter)
        defer { waiting.removeAll { $0 === waiter } }
        try await waiter.value()
    }

    /// The first outcome counts.
    private func end(_ result: Result<Void, any Error>) {
        guard outcome == nil else { return }
        outcome = result
        for waiter in waiting { waiter.resume(with: result) }
    }

    private func finishOne() {
        place.leave(filled: true)
        if policy.takesOne { end(.success(())) }
    }

    // MARK: Messages

    func take(_ message: IncomingMessage, with handler: MessageHandler) async throws -> [UInt8]? {
        if let reason = policy.busy() { throw MessageRefusal(reason) }
        guard try await takePlace() else { throw MessageRefusal("one thing was wanted, and it came or is coming") }
        do {
            let reply = try await handler(message)
            finishOne()
            return reply
        } catch {
            place.leave(filled: false)
            throw error
        }
    }

    private func takePlace() async throws -> Bool {
        do {
            return try await clock.withDeadline(Self.messagePatience) { [place] in await place.take() }
        } catch is DeadlineExceeded {
            return false
        }
    }

    // MARK: Transfers

    /// The limits of how many are received at once; `nil` takes the preset's.
    var limits: TransferQueueLimits? {
        policy.takesOne ? .oneAtATime : policy.transfers.map { TransferQueueLimits(places: $0) }
    }

    var receivePolicy: ReceivePolicy {
        var receive = ReceivePolicy(
            maximumSize: policy.maximumSize, decide: { [self] in await decide($0, $1) },
            admit: { [self] in await admit($0) })
        receive.pace = policy.pace
        return receive
    }

    private func admit(_ transfer: IncomingTransfer) -> ReceivePolicy.Decision {
        arriving[transfer] = Arrival()
        return .accept
    }

    private func decide(_ offer: TransferOffer, _ transfer: IncomingTransfer) async -> ReceivePolicy.Decision {
        if let reason = policy.busy() { return .refuse(.busy, reason) }
        if let reason = await policy.refusal(offer, transfer) { return .refuse(.notAllowed, reason) }
        guard await place.take() else { return .refuse(.busy, "it wanted one thing, and that came") }
        guard arriving[transfer] != nil else {
            // The transfer broke off while it waited.
            place.leave(filled: false)
            return .refuse(.cancelled, "the transfer is over")
        }
        arriving[transfer]?.hasPlace = true
        return .accept
    }

    func handle(_ event: TransferEvent, of transfer: IncomingTransfer) {
        if case .progress(let progress) = event { arriving[transfer]?.bytes = progress.bytes }
    }

    func complete(_ result: Result<TransferSummary, DeP2PError>, of transfer: IncomingTransfer) {
        let arrival = arriving.removeValue(forKey: transfer) ?? Arrival()
        switch result {
        case .success(let summary):
            if let failure = summary.failed.first {
                leavePlace(arrival, DeP2PError(failure.error), isOwn: false)
            } else {
                finishOne()
            }
        case .failure(let error):
            if arrival.hasPlace { leavePlace(arrival, error, isOwn: Self.isOwn(error)) }
        }
    }

    /// What did not arrive whole leaves its place to another, but where it can't be taken back, or where nothing that comes
    /// can be written.
    private func leavePlace(_ arrival: Arrival, _ error: DeP2PError, isOwn: Bool) {
        let isSpoilt = policy.takesOne && arrival.bytes > 0
        if isWrittenAsItComes, isSpoilt || isOwn {
            end(.failure(error))
        } else {
            place.leave(filled: false)
        }
    }

    /// Whether the failure is this side's output.
    private static func isOwn(_ error: DeP2PError) -> Bool {
        guard let error = error.underlying as? TransferError, !error.isFromPeer else { return false }
        return error.code == .noSpace || error.code == .fileAccess
    }
}
