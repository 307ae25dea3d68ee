package import DeP2PIdentity

/// One message, as it travels: encoded once, for everybody who gets it. Never changed, so it is shared.
package final class PubSubMessage: Sendable {
    package typealias ID = SHA256.Digest

    static let signaturePrefix = Array("libp2p-pubsub:".utf8)

    /// SHA-256 of all of it but the key, of which the author allows one. It binds content and signature: nobody can name a message that he has not seen, and
    /// what is forged has another id than what it imitates.
    package let id: ID
    package let author: NodeID
    package let sequence: UInt64
    package let topic: Topic
    /// The protobuf message `Message`.
    let encoded: [UInt8]
    private let dataRange: Range<Int>
    /// What is signed stands before `signatureField`, and behind what belongs to it and the key.
    private let signatureField: Range<Int>
    private let signature: [UInt8]
    /// Of an author whose NodeID does not contain it.
    private let key: [UInt8]?

    package var data: [UInt8] { Array(encoded[dataRange]) }
    package var dataCount: Int { dataRange.count }

    /// A new message of this node's.
    package init(_ data: [UInt8], to topic: Topic, sequence: UInt64, by key: IdentityKey) {
        author = key.nodeID
        (self.sequence, self.topic) = (sequence, topic)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(data.count + topic.bytes.count + 160)
        ProtobufBytes.append(1, author.bytes, to: &bytes)
        ProtobufBytes.head(2, length: data.count, in: &bytes)
        dataRange = bytes.count..<bytes.count + data.count
        bytes += data
        ProtobufBytes.append(
            3, (0..<8).map { UInt8(truncatingIfNeeded: sequence >> (56 - 8 * UInt64($0))) }, to: &bytes)
        ProtobufBytes.append(4, topic.bytes, to: &bytes)
        signature = key.sign(Self.signaturePrefix + bytes)
        let signedEnd = bytes.count
        ProtobufBytes.append(5, signature, to: &bytes)
        signatureField = signedEnd..<bytes.count
        self.key = nil
        encoded = bytes
        id = SHA256.hash(bytes)
    }

    /// Of what has come, in `range` of `frame`.
    ///
    /// - Parameter sender: whose NodeID need not be read again where the message is its own.
    /// - Returns: `nil` for anything but a signed message with each field once, in order.
    init?(_ frame: [UInt8], _ range: Range<Int>, from sender: NodeID) {
        var reader = FieldReader(frame, range)
        var fields = MessageFields()
        while let field = reader.next() {
            guard fields.take(field) else { return nil }
        }
        guard !reader.isMalformed, let from = fields.from, let sequence = fields.sequence(in: frame),
            let topic = fields.topic.flatMap({ Topic(bytes: Array(frame[$0])) }), let signature = fields.signature,
            (1...PublicKey.maximumDataLength).contains(signature.count), let signed = fields.signatureField
        else { return nil }
        if frame[from] == sender.bytes[...] {
            author = sender
        } else {
            // What is no NodeID is nobody's.
            guard from.count <= NodeID.maximumLength, let author = try? NodeID(bytes: Array(frame[from])) else {
                return nil
            }
            self.author = author
        }
        (self.sequence, self.topic) = (sequence, topic)
        let data = fields.data ?? range.lowerBound..<range.lowerBound
        guard data.count <= PubSubLimits.payload else { return nil }
        let start = range.lowerBound
        encoded = range == 0..<frame.count ? frame : Array(frame[range])
        dataRange = data.lowerBound - start..<data.upperBound - start
        signatureField = signed.lowerBound - start..<signed.upperBound - start
        self.signature = Array(frame[signature])
        key = fields.key.map { Array(frame[$0]) }
        guard let key, let keyField = fields.keyField else {
            // Where the NodeID is only its hash, nobody could verify it.
            guard author.bytes.first == 0 else { return nil }
            id = SHA256.hash(encoded)
            return
        }
        // With another key it would have the same id, and not verify.
        guard Self.isKey(key, of: author) else { return nil }
        id = SHA256.hash(Array(encoded[..<(keyField.lowerBound - start)]) + encoded[(keyField.upperBound - start)...])
    }

    /// Whether a NodeID holds this key, or its SHA-256 (libp2p, "Peer Ids").
    private static func isKey(_ key: [UInt8], of author: NodeID) -> Bool {
        let multihash = author.bytes
        guard let code = multihash.first else { return false }
        return multihash.dropFirst(2).elementsEqual(code == 0 ? key : SHA256.hash(key).bytes)
    }

    /// Whether its author has signed it. Takes some tens of microseconds: not for the network thread.
    package func isSigned(knowing keys: AuthorKeys) -> Bool {
        guard let key = keys.key(of: author, sent: key) else { return false }
        let signed =
            Self.signaturePrefix + encoded[..<signatureField.lowerBound] + encoded[signatureField.upperBound...]
        return key.isValidSignature(signature, for: Array(signed))
    }
}

/// Where the fields of a message lie.
private struct MessageFields {
    var from: Range<Int>?
    var data: Range<Int>?
    var seqno: Range<Int>?
    var topic: Range<Int>?
    var signature: Range<Int>?
    var key: Range<Int>?
    /// Signature and key with their tags, and the key alone.
    var signatureField: Range<Int>?
    var keyField: Range<Int>?
    private var last: UInt64 = 0

    /// Takes the next field; false unless it comes behind those before it. Two forms of one message would be two messages.
    mutating func take(_ field: FieldReader.Field) -> Bool {
        guard field.number > last, field.isBytes || field.number > 6 else { return false }
        last = field.number
        switch field.number {
        case 1: from = field.content
        case 2: data = field.content
        case 3: seqno = field.content
        case 4: topic = field.content
        case 5:
            signature = field.content
            signatureField = field.whole
        case 6:
            key = field.content
            keyField = field.whole
            signatureField = (signatureField?.lowerBound ?? field.whole.lowerBound)..<field.whole.upperBound
        default: break
        }
        return true
    }

    func sequence(in frame: [UInt8]) -> UInt64? {
        guard let seqno, seqno.count == 8 else { return nil }
        return frame[seqno].reduce(0) { $0 << 8 | UInt64($1) }
    }
}

extension PubSubMessage: Hashable {
    package static func == (left: PubSubMessage, right: PubSubMessage) -> Bool { left.id == right.id }
    package func hash(into hasher: inout Hasher) { hasher.combine(id) }
}
