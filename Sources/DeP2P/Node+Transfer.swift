public import DeP2PApp
internal import DeP2PReactor
public import DeP2PSessions

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
    package func send(
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
    package func send(
        _ source: SendSource, on session: Session,
        events: @escaping @NetworkActor @Sendable (TransferEvent) -> Void = { _ in }
    ) async throws(DeP2PError) -> TransferSummary {
        lastTransfer += 1
        let subject = NodeEvent.TransferSubject(direction: .outgoing, id: lastTransfer, peer: session.remoteNodeID)
        do {
            let stream = try await session.openStream(Transfer.protocolID)
            let sender = TransferSender(source: source)
            let summary = try await sender.run(over: stream, clock: clock) { [hub] event in
                hub.emit(.transfer(subject, .event(event)))
                events(event)
            }
            if let parting = sender.parting { transferPart?.sent(on: session, parting: parting) }
            hub.emit(.transfer(subject, .ended(.success(summary))))
            return summary
        } catch {
            let error = DeP2PError(session.refusal ?? error)
            hub.emit(.transfer(subject, .ended(.failure(error))))
            throw error
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

    /// Takes the transfers of members: so many at once, the others one after another.
    ///
    /// - Parameters:
    ///   - policy: whose offers are taken, and how large.
    ///   - limits: how many at once; `nil` takes the preset's. Into a descriptor it is one.
    ///   - events: each transfer's events, with its id and sender; called on the network thread.
    ///   - completion: each transfer's end, those that were refused included.
    package func receiveTransfers(
        to destination: TransferReceiver.Destination, policy: ReceivePolicy = ReceivePolicy(),
        limits: TransferQueueLimits? = nil,
        events: @escaping @NetworkActor @Sendable (TransferEvent, IncomingTransfer) -> Void = { _, _ in },
        completion:
            @escaping @NetworkActor @Sendable (Result<TransferSummary, DeP2PError>, IncomingTransfer) -> Void = {
                _, _ in
            }
    ) {
        var policy = policy
        policy.admit = { @NetworkActor [weak self, admit = policy.admit] transfer in
            guard self?.access.admits(transfer.sender) ?? false else {
                return .refuse(.notAllowed, AccessPolicy.refusal)
            }
            return await admit(transfer)
        }
        let service = TransferService(
            destination: destination, policy: policy, limits: limits ?? transferLimits, offerBytes: offerBytes,
            clock: clock,
            events: { [hub] event, transfer in
                hub.emit(.transfer(NodeEvent.TransferSubject(transfer), .event(event)))
                events(event, transfer)
            },
            completion: { [hub] result, transfer in
                let result = result.mapError { DeP2PError($0) }
                hub.emit(.transfer(NodeEvent.TransferSubject(transfer), .ended(result)))
                completion(result, transfer)
            })
        service.serve(on: connections.registry)
    }

    /// Takes no more transfers; those under way go on.
    public func stopReceivingTransfers() { connections.registry.unregister(Transfer.protocolID) }
}

extension NodeEvent.TransferSubject {
    fileprivate init(_ transfer: IncomingTransfer) {
        self.init(direction: .incoming, id: transfer.id, peer: transfer.sender)
    }
}
