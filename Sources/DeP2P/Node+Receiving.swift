public import DeP2PApp
internal import DeP2PReactor

extension Node {
    /// Receives what others send: files into a folder, messages by a handler. Whom the node's ``access`` leaves out sends
    /// nothing.
    ///
    /// Nothing half-received stands under its final name, and nothing that is there is overwritten.
    /// - Parameters:
    ///   - folder: for files, made when it is missing, but not its parents; `nil` takes messages only.
    ///   - messages: takes the messages of every protocol without a handler of its own (``onMessage(_:handler:)``); what it
    ///     returns is the reply. `nil` takes transfers only.
    ///   - events: each transfer's events, called on the network thread and waited for: of every file it is told.
    /// - Throws: ``DeP2PError`` `fileAccess` when the folder can't be made or opened.
    @discardableResult
    public func receive(
        into folder: String?, policy: InboxPolicy = InboxPolicy(),
        messages: (@NetworkActor @Sendable (IncomingMessage) async throws -> [UInt8]?)? = nil,
        events: @escaping @NetworkActor @Sendable (TransferEvent, IncomingTransfer) -> Void = { _, _ in }
    ) async throws(DeP2PError) -> Inbox {
        var destination: TransferReceiver.Destination?
        if let folder {
            do {
                destination = .folder(try await offload { try ReceiveFolder(path: folder) })
            } catch { throw DeP2PError(error) }
        }
        return receive(to: destination, policy: policy, messages: messages, events: events)
    }

    /// As ``receive(into:policy:messages:events:)``.
    ///
    /// - Parameter completion: each transfer's end, those that were refused included.
    package func receive(
        to destination: TransferReceiver.Destination?, policy: InboxPolicy, messages: MessageHandler?,
        events: @escaping @NetworkActor @Sendable (TransferEvent, IncomingTransfer) -> Void,
        completion:
            @escaping @NetworkActor @Sendable (Result<TransferSummary, DeP2PError>, IncomingTransfer) -> Void = {
                _, _ in
            }
    ) -> Inbox {
        var isWrittenAsItComes = false
        if case .descriptor? = destination { isWrittenAsItComes = true }
        let inbox = Inbox(policy, isWrittenAsItComes: isWrittenAsItComes, clock: clock)
        if let messages { onAnyMessage { message in try await inbox.take(message, with: messages) } }
        guard let destination else { return inbox }
        receiveTransfers(
            to: destination, policy: inbox.receivePolicy, limits: inbox.limits,
            events: { event, transfer in
                inbox.handle(event, of: transfer)
                events(event, transfer)
            },
            completion: { result, transfer in
                completion(result, transfer)
                inbox.complete(result, of: transfer)
            })
        return inbox
    }
}
