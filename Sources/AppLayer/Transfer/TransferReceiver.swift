package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor

/// Whether and how much a receiver takes.
package struct ReceivePolicy: Sendable {
    package enum Decision: Sendable {
        case accept
        /// A code such as `.notAllowed`, `.busy` or `.cancelled`, and why, in words that the sender reads.
        case refuse(TransferError.Code, String)
    }

    /// The most bytes of one transfer.
    package var maximumSize: UInt64?
    /// Asked first, when nothing is known but the sender: whom this refuses costs neither a place nor memory.
    package var admit: @Sendable (IncomingTransfer) async -> Decision
    /// Asked once the names and the size have passed; may take its time.
    package var decide: @Sendable (TransferOffer, IncomingTransfer) async -> Decision
    /// Waited for before files are stored: whoever tells of each of them may have fallen behind.
    package var pace: @Sendable () async throws -> Void = {}

    package init(
        maximumSize: UInt64? = nil,
        decide: @escaping @Sendable (TransferOffer, IncomingTransfer) async -> Decision = { _, _ in .accept },
        admit: @escaping @Sendable (IncomingTransfer) async -> Decision = { _ in .accept }
    ) {
        self.maximumSize = maximumSize
        self.admit = admit
        self.decide = decide
    }
}

/// Receives one transfer at a time into a folder or a descriptor; several may run side by side.
@NetworkActor
package final class TransferReceiver {
    package enum Destination: Sendable {
        case folder(ReceiveFolder)
        /// One file or stream, written as it comes: its root is known only at the end.
        case descriptor(Int32)
    }

    private let destination: Destination
    private let policy: ReceivePolicy
    private let timing: TransferTiming
    var descriptors = DescriptorBudget.shared

    package init(
        destination: Destination, policy: ReceivePolicy = ReceivePolicy(), timing: TransferTiming = TransferTiming()
    ) {
        self.destination = destination
        self.policy = policy
        self.timing = timing
    }

    /// Runs the transfer that `sender` offers on `stream`; the stream is finished or reset when this returns.
    ///
    /// Files that the sender could not read, or whose bytes did not have its root, are in the summary's `failed`.
    /// - Throws: ``TransferError``: what the policy refused, what the sender cancelled with, `.noSpace`, `.fileAccess`,
    ///   `.stalled`, `.connectionLost`, `.cancelled` when the task is cancelled, `.protocolViolation`. What came so far
    ///   is kept and continues when the sender tries again.
    package func run(
        over stream: any ByteStream, from sender: NodeID, clock: any NetworkClock,
        events: @escaping @NetworkActor @Sendable (TransferEvent) -> Void = { _ in }
    ) async throws -> TransferSummary {
        try await run(over: stream, from: sender, clock: clock, turn: nil, events: events)
    }

    /// - Parameter turn: the transfer's place among others; without it begins at once.
    func run(
        over stream: any ByteStream, from sender: NodeID, clock: any NetworkClock, turn: TransferTurn?,
        events: @escaping @NetworkActor @Sendable (TransferEvent) -> Void
    ) async throws -> TransferSummary {
        let run = ReceiverRun(
            destination: destination, policy: policy,
            transfer: turn?.transfer ?? IncomingTransfer(id: 0, sender: sender), turn: turn, stream: stream,
            clock: clock, timing: timing, events: events)
        run.descriptors = descriptors
        do {
            return try await run.run()
        } catch {
            let cancelled = Task.isCancelled
            // Saying goodbye must not be cancelled itself.
            throw await networkTask { await run.giveUp(error, cancelled: cancelled) }.value
        }
    }
}
