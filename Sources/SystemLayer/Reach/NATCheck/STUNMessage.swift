internal import DeP2PIdentity

/// A STUN message (RFC 8489 section 5): what is on the wire, checked and bounded.
package struct STUNMessage: Equatable, Sendable {
    package enum Class: UInt8, Sendable { case request, indication, success, failure }

    /// The method of every message spoken here (RFC 8489 section 18.2).
    package static let binding: UInt16 = 0x001
    /// RFC 8489 section 5; it tells STUN from what else shares a port.
    package static let magicCookie: UInt32 = 0x2112_a442
    package static let headerLength = 20
    /// Longest message accepted. Room for a padded request that fills an Ethernet frame (RFC 5780 section 7.6).
    package static let maximumLength = 2048
    /// Most attributes accepted in one message.
    package static let maximumAttributes = 32

    package var kind: Class
    package var method: UInt16
    package var transaction: STUNTransactionID
    /// Without FINGERPRINT, which ``init(_:)`` checks and ``bytes`` appends.
    package var attributes: [STUNAttribute]

    package init(
        _ kind: Class, method: UInt16 = binding, transaction: STUNTransactionID, attributes: [STUNAttribute] = []
    ) {
        self.kind = kind
        self.method = method
        self.transaction = transaction
        self.attributes = attributes
    }

    /// True when a datagram can only be STUN (RFC 8489 section 6.3), without looking at its attributes. The first
    /// byte is what RFC 7983 leaves to STUN on a shared port, so methods from 0x100 on are not.
    package static func isLikely(_ datagram: [UInt8]) -> Bool {
        datagram.count >= headerLength && datagram[0] < 4
            && datagram[4...].prefix(4).elementsEqual([0x21, 0x12, 0xa4, 0x42])
    }

    /// Parses one datagram.
    ///
    /// - Throws: ``STUNError`` for anything but one whole, well-formed message within the limits above. A wrong
    ///   FINGERPRINT is an error; a missing one is not.
    package init(_ datagram: [UInt8]) throws(STUNError) {
        guard datagram.count >= Self.headerLength else { throw STUNError(.truncated) }
        guard datagram.count <= Self.maximumLength else { throw STUNError(.tooLong) }
        guard Self.isLikely(datagram) else { throw STUNError(.notSTUN) }
        var reader = NetworkOrderReader(datagram)
        let type = reader.uint16()
        guard Int(reader.uint16()) == datagram.count - Self.headerLength, datagram.count % 4 == 0 else {
            throw STUNError(.wrongLength)
        }
        _ = reader.uint32()
        transaction = STUNTransactionID(high: reader.uint32(), low: reader.uint64())
        (kind, method) = Self.split(type)
        attributes = try Self.attributes(from: &reader, of: datagram, transaction: transaction)
    }

    /// Class and method share the first word, interleaved (RFC 8489 figure 3).
    private static func split(_ type: UInt16) -> (Class, UInt16) {
        let kind: Class =
            switch (type & 0x0100 != 0, type & 0x0010 != 0) {
            case (false, false): .request
            case (false, true): .indication
            case (true, false): .success
            case (true, true): .failure
            }
        return (kind, type & 0x000f | (type & 0x00e0) >> 1 | (type & 0x3e00) >> 2)
    }

    private var type: UInt16 {
        let bits = UInt16(kind.rawValue)
        let method = method & 0x000f | (method & 0x0070) << 1 | (method & 0x0f80) << 2
        return method | (bits & 1) << 4 | (bits & 2) << 7
    }

    private static func attributes(
        from reader: inout NetworkOrderReader, of datagram: [UInt8], transaction: STUNTransactionID
    ) throws(STUNError) -> [STUNAttribute] {
        var attributes: [STUNAttribute] = []
        var isProtected = false
        while reader.remaining > 0 {
            guard attributes.count < maximumAttributes else { throw STUNError(.tooManyAttributes) }
            let start = reader.position
            let (type, length) = (reader.uint16(), Int(reader.uint16()))
            let padded = (length + 3) & ~3
            guard reader.remaining >= padded else { throw STUNError(.truncated) }
            let value = Array(reader.bytes(padded).prefix(length))
            if type == STUNAttribute.Code.fingerprint {
                // RFC 8489 section 14.7: the last attribute, over everything before it.
                guard length == 4, reader.remaining == 0 else { throw STUNError(.malformed(type)) }
                guard STUNFingerprint.value(of: datagram.prefix(start)).elementsEqual(value) else {
                    throw STUNError(.wrongFingerprint)
                }
            } else if !isProtected {
                attributes.append(try STUNAttribute(type: type, value: value, transaction: transaction))
                // RFC 8489 section 14.5: nothing after MESSAGE-INTEGRITY counts.
                isProtected = type == STUNAttribute.Code.messageIntegrity
            }
        }
        return attributes
    }

    /// The message as a datagram, ending with FINGERPRINT.
    package var bytes: [UInt8] {
        // The length counts the FINGERPRINT before it is computed.
        var message = encoded(lengthBeyond: STUNFingerprint.attributeLength)
        message += STUNAttribute.Code.fingerprint.bigEndianBytes + UInt16(4).bigEndianBytes
        return message + STUNFingerprint.value(of: message.dropLast(4))
    }

    /// The message as a datagram without FINGERPRINT, which is optional (RFC 8489 section 14.7).
    package var plainBytes: [UInt8] { encoded(lengthBeyond: 0) }

    private func encoded(lengthBeyond extra: Int) -> [UInt8] {
        var body: [UInt8] = []
        for attribute in attributes {
            let value = attribute.value(transaction: transaction)
            body.append(contentsOf: attribute.type.bigEndianBytes + UInt16(value.count).bigEndianBytes + value)
            body.append(contentsOf: repeatElement(0, count: -value.count & 3))
        }
        let length = UInt16(body.count + extra)
        return type.bigEndianBytes + length.bigEndianBytes + Self.magicCookie.bigEndianBytes + transaction.bytes + body
    }

    /// A Binding request as long as the longest answer to it: who answers must not amplify (PROTOCOL.md, section 18).
    ///
    /// - Parameter longest: bytes of that answer.
    static func bindingRequest(
        _ transaction: STUNTransactionID, _ attributes: [STUNAttribute] = [],
        longest: Int = STUNResponder.longestResponse
    ) -> STUNMessage {
        var request = STUNMessage(.request, transaction: transaction, attributes: attributes)
        let missing = longest - request.bytes.count - attributeHeaderLength
        if missing > 0 {
            request.attributes.append(.other(STUNAttribute.Code.filler, [UInt8](repeating: 0, count: missing)))
        }
        return request
    }

    private static let attributeHeaderLength = 4
}
