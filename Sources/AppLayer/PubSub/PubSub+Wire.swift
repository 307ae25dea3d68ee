internal import DeP2PIdentity

/// What one RPC says, and how it travels. Read by hand: every bound is looked at before anything is kept, and a message is
/// copied once.
struct PubSubRPC {
    struct Subscription: Equatable {
        let topic: Topic
        let isSubscribed: Bool
    }

    var subscriptions: [Subscription] = []
    var messages: [PubSubMessage] = []
    var control = PubSubControl()
    /// Messages that are none: their sender made or passed on what nobody may.
    var malformed = 0

    init() {}

    var isEmpty: Bool { subscriptions.isEmpty && messages.isEmpty && control.isEmpty }

    /// - Parameter sender: whose RPC it is.
    /// - Throws: ``Violation`` for what is no RPC, and beyond each bound.
    init(_ frame: [UInt8], from sender: NodeID) throws(Violation) {
        var reader = FieldReader(frame, 0..<frame.count)
        while let field = reader.next() {
            guard field.isBytes else { continue }
            switch field.number {
            case 1:
                try Self.check(subscriptions.count, PubSubLimits.subscriptionsPerRPC, "subscriptions")
                if let entry = Self.subscription(frame, field.content) { subscriptions.append(entry) }
            case 2:
                try Self.check(messages.count + malformed, PubSubLimits.messagesPerRPC, "messages")
                if let message = PubSubMessage(frame, field.content, from: sender) {
                    messages.append(message)
                } else {
                    malformed += 1
                }
            case 3: try control.read(frame, field.content)
            default: break
            }
        }
        if reader.isMalformed { throw Violation("it is malformed") }
    }

    /// An RPC that breaks the protocol: its stream is given up.
    struct Violation: Error, Equatable {
        let reason: String

        init(_ reason: String) { self.reason = reason }
    }

    static func check(_ count: Int, _ limit: Int, _ name: String) throws(Violation) {
        guard count < limit else { throw Violation("more than \(limit) \(name) in one RPC") }
    }

    private static func subscription(_ frame: [UInt8], _ range: Range<Int>) -> Subscription? {
        var (reader, isSubscribed, topic) = (FieldReader(frame, range), false, Topic?.none)
        while let field = reader.next() {
            if field.number == 1, !field.isBytes { isSubscribed = field.value != 0 }
            if field.number == 2, field.isBytes, field.content.count <= Topic.lengthLimit {
                topic = Topic(bytes: Array(frame[field.content]))
            }
        }
        guard let topic, !reader.isMalformed else { return nil }
        return Subscription(topic: topic, isSubscribed: isSubscribed)
    }

    /// Subscriptions and control as frames with their lengths: of ids each takes a bounded number. Messages have frames of
    /// their own (``frame(of:)``).
    var encodedFrames: [[UInt8]] {
        guard control.sentIDs > PubSubLimits.idsSent else { return [encodedFrame] }
        var first = self
        let rest = first.control.splitIDs(atMost: PubSubLimits.idsSent)
        return [first.encodedFrame]
            + rest.map { control in
                var rpc = PubSubRPC()
                rpc.control = control
                return rpc.encodedFrame
            }
    }

    private var encodedFrame: [UInt8] {
        var bytes: [UInt8] = []
        for entry in subscriptions {
            var inner: [UInt8] = [1 << 3, entry.isSubscribed ? 1 : 0]
            ProtobufBytes.append(2, entry.topic.bytes, to: &inner)
            ProtobufBytes.append(1, inner, to: &bytes)
        }
        if !control.isEmpty { ProtobufBytes.append(3, control.encoded, to: &bytes) }
        var frame: [UInt8] = []
        ProtobufBytes.append(varint: UInt64(bytes.count), to: &frame)
        return frame + bytes
    }

    /// The frame of an RPC with that one message, with its length in front.
    static func frame(of message: PubSubMessage) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(message.encoded.count + 8)
        ProtobufBytes.begin(2, length: message.encoded.count, in: &bytes)
        bytes += message.encoded
        return bytes
    }
}

extension PubSubMessage {
    /// As it goes out alone.
    package var frame: [UInt8] { PubSubRPC.frame(of: self) }

    /// In bytes.
    package var frameCount: Int {
        let inner = ProtobufBytes.length(encoded.count)
        return inner + ProtobufBytes.varintLength(UInt64(inner))
    }
}
