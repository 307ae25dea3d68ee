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

/// The subscribers of one topic on this node: they are given each author's messages in order.
@NetworkActor
final class TopicFeed {
    private let driver: MachineDriver<DeliveryOrder>
    private var handlers: [(id: UInt64, handler: TopicHandler)] = []

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

    func add(_ id: UInt64, _ handler: @escaping TopicHandler) { handlers.append((id, handler)) }

    func remove(_ id: UInt64) { handlers.removeAll { $0.id == id } }

    func take(_ message: PubSubMessage) { driver.handle { $0.take(message, now: $1) } }

    func end() {
        driver.stop()
        tell(.end)
        handlers = []
    }

    private func tell(_ delivery: TopicDelivery) {
        for entry in handlers { entry.handler(delivery) }
    }
}
