public import DeP2PIdentity
internal import DeP2PQUIC
package import DeP2PReactor
package import DeP2PSessions

/// One transfer that another node sends here.
public struct IncomingTransfer: Hashable, Sendable {
    /// Tells it from every other transfer of this node, those of the same sender too.
    public let id: UInt64
    /// Proven by the connection.
    public let sender: NodeID

    package init(id: UInt64, sender: NodeID) {
        self.id = id
        self.sender = sender
    }
}

/// Serves `/dep2p/app/transfer/1.0.0`: receives what members send, so many at once, the others one after another.
@NetworkActor
package final class TransferService {
    package typealias Events = @NetworkActor @Sendable (TransferEvent, IncomingTransfer) -> Void
    package typealias Completion =
        @NetworkActor @Sendable (Result<TransferSummary, any Error>, IncomingTransfer) -> Void

    /// How often places are looked at while somebody waits for one.
    private static let reviewInterval = Duration.seconds(5)

    private let destination: TransferReceiver.Destination
    private let policy: ReceivePolicy
    private let clock: any NetworkClock
    private let offers: OfferBudget
    private let events: Events
    private let completion: Completion
    private var queue: TransferQueue
    private var turns: [UInt64: TransferTurn] = [:]
    private var reviewTimer: TimerToken?
    /// Ids stay apart when a node begins to receive anew.
    private static var lastID: UInt64 = 0

    /// - Parameters:
    ///   - limits: how many are received at once; into a descriptor it is one.
    ///   - offerBytes: memory for the offers of all transfers under way.
    package init(
        destination: TransferReceiver.Destination, policy: ReceivePolicy, limits: TransferQueueLimits,
        offerBytes: Int, clock: any NetworkClock, events: @escaping Events, completion: @escaping Completion
    ) {
        self.destination = destination
        self.policy = policy
        self.clock = clock
        self.events = events
        self.completion = completion
        offers = OfferBudget(limit: offerBytes)
        if case .descriptor = destination {
            queue = TransferQueue(.oneAtATime)
        } else {
            queue = TransferQueue(limits)
        }
    }

    /// Takes the transfers that come over `registry`'s connections.
    package func serve(on registry: ProtocolRegistry) {
        registry.register(
            Transfer.protocolID, deadline: .unlimited(because: "a transfer ends when it stalls")
        ) { [self] session, stream in
            let sender = Sender(nodeID: session.remoteNodeID, subject: session.subject)
            await receive(stream, from: sender) { session.end }
        }
    }

    /// Transfers that have a place, parked ones included.
    var runningCount: Int { queue.runningCount }

    /// - Parameter sessionEnd: how the connection ended, once it has.
    func receive(
        _ stream: any ByteStream, from sender: Sender, sessionEnd: @NetworkActor () -> SessionEnd? = { nil }
    ) async {
        stream.bearsSilence()
        Self.lastID += 1
        let transfer = IncomingTransfer(id: Self.lastID, sender: sender.nodeID)
        let turn = TransferTurn(of: transfer, from: sender, service: self, offers: offers)
        turns[transfer.id] = turn
        let receiver = TransferReceiver(destination: destination, policy: policy)
        var result: Result<TransferSummary, any Error>
        do {
            result = .success(
                try await receiver.run(over: stream, from: sender.nodeID, clock: clock, turn: turn) { [self] event in
                    handle(event, of: transfer)
                })
        } catch {
            result = .failure(Self.cause(of: error, sessionEnd()))
        }
        turns[transfer.id] = nil
        offers.release(transfer.id)
        apply(queue.leave(transfer.id, at: clock.now))
        completion(result, transfer)
    }

    /// The end of a connection cancels what runs over it: nobody here did, unless the connection was closed here.
    private static func cause(of error: any Error, _ end: SessionEnd?) -> any Error {
        guard let end, let reason = error as? TransferError, reason.code == .cancelled, !reason.isFromPeer else {
            return error
        }
        if case .closedLocally = end.cause { return error }
        return TransferError(.connectionLost, "the sender is gone: \(end)")
    }

    private func handle(_ event: TransferEvent, of transfer: IncomingTransfer) {
        if case .progress(let progress) = event, let turn = turns[transfer.id] {
            queue.moved(transfer.id, by: progress.bytes - min(turn.reported, progress.bytes))
            turn.reported = progress.bytes
        }
        events(event, transfer)
    }

    // MARK: Places

    /// - Throws: ``TransferError`` `.busy` with the limit that has no room even for waiting.
    fileprivate func waitForPlace(_ turn: TransferTurn) async throws {
        switch queue.arrive(turn.transfer.id, from: turn.sender, at: clock.now) {
        case .start: return
        case .refuse(let limit): throw TransferError(.busy, "\(limit)", limit: UInt64(clamping: limit.limit))
        case .wait:
            scheduleReview()
            try await turn.started.value()
        }
    }

    fileprivate func setStarving(_ transfer: IncomingTransfer, _ isStarving: Bool) {
        queue.setStarving(transfer.id, isStarving, at: clock.now)
        scheduleReview()
    }

    private func apply(_ changes: TransferQueue.Changes) {
        for id in changes.started { turns[id]?.started.resume(returning: ()) }
        for id in changes.ended {
            turns[id]?.ended.resume(returning: TransferError(.busy, "nothing moved for long, and others waited"))
        }
    }

    private func scheduleReview() {
        guard reviewTimer == nil, queue.isContended else { return }
        reviewTimer = clock.schedule(after: Self.reviewInterval) { [weak self] in
            guard let self else { return }
            reviewTimer = nil
            apply(queue.review(at: clock.now))
            scheduleReview()
        }
    }
}

/// One transfer's place among those of a ``TransferService``.
@NetworkActor
final class TransferTurn {
    let transfer: IncomingTransfer
    fileprivate let sender: Sender
    private weak var service: TransferService?
    private let offers: OfferBudget
    fileprivate let started = Waiter<Void>()
    /// Resumed when the transfer has to end for the sake of others.
    let ended = Waiter<TransferError>()
    fileprivate var reported: UInt64 = 0

    fileprivate init(of transfer: IncomingTransfer, from sender: Sender, service: TransferService, offers: OfferBudget)
    {
        (self.transfer, self.sender, self.service, self.offers) = (transfer, sender, service, offers)
    }

    /// Waits for a place.
    ///
    /// - Throws: ``TransferError`` `.busy`.
    func wait() async throws { try await service?.waitForPlace(self) }

    /// The transfer has a place and waits for descriptors, or has them.
    func setStarving(_ isStarving: Bool) { service?.setStarving(transfer, isStarving) }

    /// Books memory for a part of the offer that has arrived.
    ///
    /// - Throws: ``TransferError`` `.busy` with the limit.
    func book(_ bytes: Int) throws(TransferError) { try offers.book(bytes, for: transfer.id, of: sender) }
}

/// The memory of the offers of all transfers under way: booked as they arrive, not as they are announced.
@NetworkActor
final class OfferBudget {
    private let limit: Int
    private var booked: [UInt64: (sender: Sender, bytes: Int)] = [:]

    init(limit: Int) {
        self.limit = limit
    }

    func book(_ bytes: Int, for transfer: UInt64, of sender: Sender) throws(TransferError) {
        // Half of it for one sender, three quarters for one address: the others have the rest.
        let shares: [(limit: Int, isOf: (Sender) -> Bool)] = [
            (limit, { _ in true }), (limit / 2, { $0.nodeID == sender.nodeID }),
            (limit / 4 * 3, { $0.subject == sender.subject }),
        ]
        for share in shares {
            let taken = booked.values.reduce(0) { $0 + (share.isOf($1.sender) ? $1.bytes : 0) }
            guard bytes <= share.limit - taken else {
                throw TransferError(
                    .busy, "the limit of \(share.limit) bytes of offers at once is reached",
                    limit: UInt64(share.limit))
            }
        }
        booked[transfer, default: (sender, 0)].bytes += bytes
    }

    func release(_ transfer: UInt64) { booked[transfer] = nil }
}
