public import AppLayer
public import Identity
internal import QUIC
public import SystemLayer

extension Node {
    /// Sends files, folders or a stream to a member; returns when the receiver has verified everything.
    ///
    /// Sending the same again after an interruption continues where it stopped.
    /// - Parameters:
    ///   - timeout: for the connect; a transfer itself ends only when it stalls.
    ///   - events: called on the network thread.
    /// - Throws: ``DeP2PError``; for what the transfer itself failed with, its code is that of the `TransferError`,
    ///   which is the underlying error.
    @discardableResult
    public func send(
        _ source: SendSource, to target: DialTarget, timeout: Duration? = nil,
        events: @escaping @NetworkActor @Sendable (TransferEvent) -> Void = { _ in }
    ) async throws(DeP2PError) -> TransferSummary {
        let session = try await connectMember(target, timeout: timeout)
        return try await send(source, on: session, events: events)
    }

    /// Sends on an admitted session that is open.
    ///
    /// - Throws: ``DeP2PError``.
    @discardableResult
    public func send(
        _ source: SendSource, on session: Session,
        events: @escaping @NetworkActor @Sendable (TransferEvent) -> Void = { _ in }
    ) async throws(DeP2PError) -> TransferSummary {
        do {
            let stream = try await session.openStream(Transfer.protocolID)
            return try await TransferSender(source: source).run(over: stream, clock: clock, events: events)
        } catch {
            throw DeP2PError(error)
        }
    }

    /// Sends the files and folders at `paths`.
    ///
    /// - Throws: ``DeP2PError``; `notFound` or `fileAccess` before anything is sent.
    @discardableResult
    public func send(files paths: [String], to target: DialTarget) async throws(DeP2PError) -> TransferSummary {
        let source: SendSource
        do { source = try await offload { try SendSource(paths: paths) } } catch { throw DeP2PError(error) }
        return try await send(source, to: target)
    }

    /// Takes the transfers of members.
    ///
    /// - Parameters:
    ///   - policy: whose offers are taken, and how large.
    ///   - events: each transfer's events, with its sender; called on the network thread.
    ///   - completion: each transfer's end.
    public func receiveTransfers(
        to destination: TransferReceiver.Destination, policy: ReceivePolicy = ReceivePolicy(),
        events: @escaping @NetworkActor @Sendable (TransferEvent, NodeID) -> Void = { _, _ in },
        completion: @escaping @NetworkActor @Sendable (Result<TransferSummary, DeP2PError>, NodeID) -> Void = { _, _ in
        }
    ) {
        let slots = TransferSlots(limit: maximumTransfers)
        connections.registry.register(
            Transfer.protocolID, deadline: .unlimited(because: "a transfer ends when it stalls")
        ) { [clock] session, stream in
            guard slots.take() else { throw SessionError(.busy) }
            defer { slots.give() }
            let sender = session.remoteNodeID
            let receiver = TransferReceiver(destination: destination, policy: policy)
            do {
                let summary = try await receiver.run(over: stream, from: sender, clock: clock) { events($0, sender) }
                completion(.success(summary), sender)
            } catch {
                completion(.failure(DeP2PError(error)), sender)
            }
        }
    }

    /// Takes no more transfers; those under way go on.
    public func stopReceivingTransfers() { connections.registry.unregister(Transfer.protocolID) }
}

/// Counts the transfers under way.
@NetworkActor
private final class TransferSlots {
    private let limit: Int
    private var taken = 0

    init(limit: Int) {
        self.limit = limit
    }

    func take() -> Bool {
        guard taken < limit else { return false }
        taken += 1
        return true
    }

    func give() { taken -= 1 }
}
