public import DeP2PIdentity

/// A message that a member published to a topic.
public struct TopicMessage: Hashable, Sendable {
    /// Who published it: proven by its signature, or by the connection with its author.
    public let from: NodeID
    public let topic: String
    /// It grows with each message of the author's to this topic.
    public let sequence: UInt64
    /// Tells it from every other: 64 hexadecimal digits.
    public let id: String
    public let body: [UInt8]
    /// When it came, in milliseconds since 1970.
    public let receivedAt: UInt64
}

/// What an application says of a message, before anybody is given it.
public enum TopicVerdict: Hashable, Sendable {
    case accept
    /// It must not be: nobody is given it, and whoever sent it is listened to less, after a few not at all for minutes.
    case reject
    /// It is not wanted here, and nobody's fault: it is not delivered, and not given to others.
    case ignore
}

/// What a subscriber is told of its topic, each author's messages in their order.
public enum TopicEvent: Hashable, Sendable {
    case message(TopicMessage)
    /// So many messages of an author's got lost on their way, and could not be had from anybody.
    case gap(from: NodeID, count: Int)
    /// This subscriber was too slow for so many messages, which would stand here.
    case dropped(Int)
}

/// A message that was published.
public struct Publication: Hashable, Sendable {
    /// As ``TopicMessage/id``.
    public let id: String
    /// To how many members it was sent; they give it to others.
    public let peers: Int
}
