package import DeP2PIdentity
internal import DeP2PReactor

/// What a subscriber is given.
package enum TopicDelivery: Sendable {
    case message(PubSubMessage)
    /// So many messages of an author's are missing here.
    case gap(NodeID, Int)
    /// There will be nothing more.
    case end
}

/// Takes what is delivered; it is called on the network thread, which it must not hold up.
package typealias TopicHandler = @NetworkActor @Sendable (TopicDelivery) -> Void

/// Says what becomes of a message, before it is delivered or passed on; called away from the network thread.
package typealias TopicValidator = @Sendable (PubSubMessage) async -> PubSubRouter.Verdict

/// The subscribers of one topic on this node: they are given each author's messages in order.
@NetworkActor
final class TopicFeed {
    private let driver: MachineDriver<DeliveryOrder>
    private var handlers: [(id: UInt64, handler: TopicHandler, validator: TopicValidator?)] = []

    init(clock: any NetworkClock) {
        driver = MachineDriver(DeliveryOrder(), clock: clock)
        driver.carryOut = { [weak self] actions in
            for action in actions {
                switch action {
                case .message(let message): self?.tell(.message(message))
                case .gap(let author, let count): self?.tell(.gap(author, count))
                }
            }
        }
    }

    var isUnused: Bool { handlers.isEmpty }

    func add(_ id: UInt64, _ handler: @escaping TopicHandler, validator: TopicValidator?) {
        handlers.append((id, handler, validator))
    }

    /// Those who judge; a message that one rejects is rejected, and one that all accept accepted.
    var validators: [TopicValidator] { handlers.compactMap(\.validator) }

    func remove(_ id: UInt64) { handlers.removeAll { $0.id == id } }

    /// - Parameter isWithheld: whether it is not delivered, and not missing.
    func take(_ message: PubSubMessage, isWithheld: Bool = false) {
        driver.handle { $0.take(message, isWithheld: isWithheld, now: $1) }
    }

    func end() {
        driver.stop()
        tell(.end)
        handlers = []
    }

    private func tell(_ delivery: TopicDelivery) {
        for entry in handlers { entry.handler(delivery) }
    }
}
