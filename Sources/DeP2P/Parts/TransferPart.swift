internal import DeP2PReactor
internal import DeP2PSessions

/// What was sent, and has arrived: a node that stops does not wait until the receiver has heard that its receipts were read.
@NetworkActor
final class TransferPart: NodePart {
    private var partings = StreamCounts()

    /// The transfer's stream on `session` stays open until `parting` ends.
    func sent(on session: Session, parting: Task<Void, Never>) {
        partings.add(on: session)
        networkTask { [self] in
            await parting.value
            partings.remove(on: session)
        }
    }

    func streamsKeptOpen(on session: Session) -> Int { partings.count(on: session) }
}
