/// A signed envelope (libp2p RFC 0002): a payload, its type, the signer's public key and a signature bound to a domain.
package struct Envelope: Hashable, Sendable {
    /// The largest envelope read or made, in bytes.
    package static let maximumLength = 16 * 1024

    package let publicKey: PublicKey
    package let payloadType: [UInt8]
    /// Not to be believed before ``open(domain:payloadType:)`` has checked the signature.
    let payload: [UInt8]
    let signature: [UInt8]

    init(publicKey: PublicKey, payloadType: [UInt8], payload: [UInt8], signature: [UInt8]) {
        self.publicKey = publicKey
        self.payloadType = payloadType
        self.payload = payload
        self.signature = signature
    }

    /// Parses without checking the signature.
    ///
    /// - Throws: `limitExceeded` above 16 KiB, `malformedRecord`, or what ``PublicKey/init(protobuf:)`` throws.
    package init(bytes: [UInt8]) throws(IdentityError) {
        guard bytes.count <= Self.maximumLength else {
            throw IdentityError(
                .limitExceeded, "a signed envelope of \(bytes.count) bytes is over the limit of \(Self.maximumLength)")
        }
        var fields: [UInt64: [UInt8]] = [:]
        var reader = Protobuf.Reader(bytes)
        while let (number, value) = reader.next() {
            guard [1, 2, 3, 5].contains(number) else { continue }
            guard case .bytes(let content) = value else {
                throw IdentityError(.malformedRecord, "field \(number) of a signed envelope has the wrong type")
            }
            fields[number] = content
        }
        guard !reader.isMalformed, let key = fields[1], let signature = fields[5] else {
            throw IdentityError(.malformedRecord, "a signed envelope is malformed")
        }
        try self.init(
            publicKey: PublicKey(protobuf: key), payloadType: fields[2] ?? [], payload: fields[3] ?? [],
            signature: signature)
    }

    /// Signs `payload` for `domain` and encodes the envelope.
    ///
    /// - Throws: `limitExceeded` when it would be larger than 16 KiB.
    package static func seal(
        payload: [UInt8], payloadType: [UInt8], domain: String, key: IdentityKey
    ) throws(IdentityError) -> [UInt8] {
        let signature = key.sign(signedBytes(domain: domain, payloadType: payloadType, payload: payload))
        var bytes: [UInt8] = []
        Protobuf.append(field: 1, bytes: key.publicKey.protobuf, to: &bytes)
        Protobuf.append(field: 2, bytes: payloadType, to: &bytes)
        Protobuf.append(field: 3, bytes: payload, to: &bytes)
        Protobuf.append(field: 5, bytes: signature, to: &bytes)
        guard bytes.count <= maximumLength else {
            throw IdentityError(
                .limitExceeded, "a signed envelope of \(bytes.count) bytes is over the limit of \(maximumLength)")
        }
        return bytes
    }

    /// The payload, once its type and the signature for `domain` are found right.
    ///
    /// - Throws: `malformedRecord` for another payload type, `badSignature`.
    package func open(domain: String, payloadType expected: [UInt8]) throws(IdentityError) -> [UInt8] {
        guard payloadType == expected else {
            throw IdentityError(
                .malformedRecord,
                "a signed envelope holds type \(Hex.encode([UInt8](payloadType.prefix(16)))), not \(Hex.encode(expected))"
            )
        }
        let message = Self.signedBytes(domain: domain, payloadType: payloadType, payload: payload)
        guard publicKey.isValidSignature(signature, for: message) else {
            throw IdentityError(.badSignature, "the signature of \(publicKey.nodeID) on an envelope is not valid")
        }
        return payload
    }

    /// RFC 0002, "Signature Production / Verification": each part behind its length.
    private static func signedBytes(domain: String, payloadType: [UInt8], payload: [UInt8]) -> [UInt8] {
        var message: [UInt8] = []
        for part in [[UInt8](domain.utf8), payloadType, payload] {
            Varint.append(UInt64(part.count), to: &message)
            message += part
        }
        return message
    }
}
