internal import DeP2PApp
public import DeP2PIdentity
internal import DeP2PReactor

extension Node {
    /// The longest message that can be published, in bytes.
    public nonisolated static let publicationLimit = 1024 * 1024

    /// Publishes `body` to everybody in the realm who is subscribed to `topic`. They need not be connected with this node, but
    /// with each other.
    ///
    /// - Parameters:
    ///   - topic: 1 to 256 bytes of UTF-8.
    ///   - count: waits until so many of those that this node is connected with are subscribed.
    ///   - timeout: for that; `nil` waits for ever.
    /// - Throws: ``DeP2PError``: `notMember`, `invalidName`, `tooLarge`; `nobodyListens` when fewer than `count` do in time.
    @discardableResult
    public func publish(
        _ body: [UInt8], to topic: String, waitingFor count: Int = 0, timeout: Duration? = .seconds(30)
    ) async throws(DeP2PError) -> Publication {
        do {
            let topic = try Topic(topic)
            guard realmID != nil else { throw DeP2PError.inNoRealm }
            guard body.count <= PubSubLimits.payload else {
                throw PubSubError(.tooLarge(limit: PubSubLimits.payload), detail: "it has \(body.count)")
            }
            if count > 0 { try await waitForListeners(count, of: topic, timeout: timeout) }
            let (message, peers) = try await pubsub.publish(body, to: topic)
            return Publication(id: message.id.hex, peers: peers)
        } catch {
            throw DeP2PError(error)
        }
    }

    /// Publishes a text; as ``publish(_:to:waitingFor:timeout:)-([UInt8],_,_,_)``.
    @discardableResult
    public func publish(
        _ text: String, to topic: String, waitingFor count: Int = 0, timeout: Duration? = .seconds(30)
    ) async throws(DeP2PError) -> Publication {
        try await publish(Array(text.utf8), to: topic, waitingFor: count, timeout: timeout)
    }

    private func waitForListeners(_ count: Int, of topic: Topic, timeout: Duration?) async throws {
        let deadline = timeout.map { clock.now.advanced(by: $0) } ?? .distantFuture
        let found = try await pubsub.waitForListeners(count, of: topic, until: deadline)
        guard found >= count else {
            throw PubSubError(.nobodyListens, detail: count == 1 ? "" : "\(found) of \(count) members are subscribed")
        }
    }

    /// Subscribes to `topic`: gives what members, and this node itself, publish to it from now on.
    ///
    /// - Parameters:
    ///   - topic: 1 to 256 bytes of UTF-8.
    ///   - capacity: events that may wait for the subscriber; beyond, messages are left out and counted.
    ///   - validator: says of each message of other members' whether it is delivered here and given to others, before either
    ///     happens. It is called away from the node's thread, for up to 32 messages of all topics at once; what it has not
    ///     judged after 4 s is ignored. Of several validators of one topic the strictest counts.
    /// - Throws: ``DeP2PError``: `notMember`, `invalidName`, `limit`.
    public func subscribe(
        _ topic: String, capacity: Int = TopicEvents.defaultCapacity,
        validator: (@Sendable (TopicMessage) async -> TopicVerdict)? = nil
    ) throws(DeP2PError) -> TopicEvents {
        do {
            let name = topic
            let topic = try Topic(name)
            let events = TopicEvents(name, capacity: capacity)
            let judge = validator.map { validator -> TopicValidator in
                { [wallClock] in await validator(TopicMessage($0, in: name, at: wallClock())).verdict }
            }
            let id = try pubsub.subscribe(topic, validator: judge) { [weak events, wallClock] delivery in
                switch delivery {
                case .message(let message):
                    events?.push(.message(TopicMessage(message, in: name, at: wallClock())))
                case .gap(let author, let count): events?.push(.gap(from: author, count: count))
                case .end: events?.finish()
                }
            }
            events.onRelease { [weak pubsub] in pubsub?.unsubscribe(topic, id) }
            return events
        } catch {
            throw DeP2PError(error)
        }
    }

    /// Publishes no more, and waits until those who were sent something have read all of it.
    ///
    /// - Parameter timeout: for that; `nil` waits for ever.
    /// - Returns: how many have.
    /// - Throws: ``DeP2PError`` `cancelled`.
    package func finishPublishing(timeout: Duration?) async throws(DeP2PError) -> Int {
        let deadline = timeout.map { clock.now.advanced(by: $0) } ?? .distantFuture
        do { return try await pubsub.settle(until: deadline) } catch { throw DeP2PError(error) }
    }

    /// The members that are subscribed to `topic`, of those that this node is connected with.
    public func listeners(of topic: String) -> [NodeID] {
        // What can be no topic has none.
        (try? Topic(topic)).map { pubsub.listeners(of: $0) } ?? []
    }
}

extension TopicVerdict {
    fileprivate var verdict: PubSubRouter.Verdict {
        switch self {
        case .accept: .accept
        case .reject: .reject
        case .ignore: .ignore
        }
    }
}

extension TopicMessage {
    init(_ message: PubSubMessage, in topic: String, at time: UInt64) {
        (from, sequence, id) = (message.author, message.sequence, message.id.hex)
        (self.topic, body, receivedAt) = (topic, message.data, time)
    }
}
