internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions
internal import DeP2PWire
internal import SwiftProtobuf

typealias RequestHeader = Dep2p_Messaging_RequestHeader
typealias ReplyHeader = Dep2p_Messaging_ReplyHeader

extension RequestHeader {
    /// The longest header taken, in bytes.
    static let frameLimit = Messaging.nameLimit + 32

    init(protocolName: String, bodySize: Int) {
        self.init()
        `protocol` = protocolName
        self.bodySize = UInt64(bodySize)
    }
}

extension ReplyHeader {
    /// Bytes of detail sent and kept.
    static let detailLimit = 512
    /// The longest header taken, in bytes.
    static let frameLimit = detailLimit + 64

    init(_ status: Status, bodySize: Int = 0, detail: String = "", limit: UInt64 = 0) {
        self.init()
        self.status = status
        self.bodySize = UInt64(bodySize)
        self.detail = detail.clipped(toBytes: Self.detailLimit)
        self.limit = limit
    }
}

extension ReplyHeader {
    /// A request met a limit.
    init(_ limit: LimitExceeded) {
        self.init(.busy, detail: "\(limit)", limit: UInt64(clamping: limit.limit))
    }
}

extension Chunk {
    /// A header's frame and the raw body behind it, in one run of bytes: one write, one packet where it fits.
    ///
    /// - Parameter stream: which of these will be the next bytes; what its negotiation owes goes in front.
    @NetworkActor
    convenience init(frame: [UInt8], body: [UInt8], on stream: NegotiatedStream) {
        let owed = stream.takeOwed(inFrontOf: frame.count + body.count)
        self.init(capacity: owed.count + frame.count + body.count)
        append(owed)
        append(frame)
        append(body)
    }
}
