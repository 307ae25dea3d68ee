public import DeP2PApp
internal import DeP2PReactor

/// What an ``Inbox`` takes, of those whom the node's ``AccessPolicy`` lets in.
public struct InboxPolicy: Sendable {
    /// One thing, a message or a transfer, that arrives whole. One that breaks off does not count; what comes meanwhile
    /// waits for how that ends, and what comes later is refused.
    public var takesOne = false
    /// The most bytes of one transfer.
    public var maximumSize: UInt64?
    /// Transfers at once, the others wait; `nil` takes the preset's. One sender has at most half of them.
    public var transfers: Int?
    /// Asked before each thing is taken: why nothing is now, in words that the sender reads, or `nil`. The sender learns
    /// that it may try again later.
    public var busy: @NetworkActor @Sendable () -> String? = { nil }
    /// Asked of each transfer whose names and size have passed; may take its time. Why it is not taken, in words that the
    /// sender reads, or `nil`.
    public var refusal: @NetworkActor @Sendable (TransferOffer, IncomingTransfer) async -> String? = { _, _ in nil }
    /// Waited for before files are stored: whoever tells of each of them may have fallen behind.
    package var pace: @Sendable () async throws -> Void = {}

    public init() {}
}
