/// The name of a realm, derived one way from its key. It never crosses the wire in clear.
public struct RealmID: Hashable, Sendable, CustomStringConvertible {
    /// 32 bytes.
    package let bytes: [UInt8]

    fileprivate init(derived bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// 64 lower-case hexadecimal digits.
    public var hex: String { Hex.encode(bytes) }
    public var description: String { hex }
}

/// The secret that makes a node a member of a realm: 32 bytes, kept as 64 hexadecimal characters in a file.
///
/// It lies in guarded memory, is wiped with the last copy, and describes itself by nothing secret.
public struct RealmKey: Sendable, Equatable, CustomStringConvertible {
    /// The length of the key, in bytes.
    package static let length = 32

    public let id: RealmID
    private let secret: SecretBytes

    /// - Throws: `malformedRealmKey` unless there are exactly 32 bytes.
    package init(bytes: [UInt8]) throws(IdentityError) {
        guard bytes.count == Self.length else {
            throw IdentityError(.malformedRealmKey, "a realm key has 32 bytes, not \(bytes.count)")
        }
        self.init(checked: bytes)
    }

    /// - Throws: `malformedRealmKey` unless the text is exactly 64 hexadecimal digits.
    public init(hex: String) throws(IdentityError) {
        try self.init(text: [UInt8](hex.utf8))
    }

    /// From what a file or standard input holds: 64 hexadecimal digits, white space around them.
    package init(text: [UInt8]) throws(IdentityError) {
        var digits = [UInt8](Self.trimmed(text))
        defer { wipe(&digits) }
        guard !digits.isEmpty else {
            throw IdentityError(.malformedRealmKey, "the realm key is empty", remedy: .makeRealmKey)
        }
        guard digits.count == Self.length * 2, var bytes = Hex.decode(digits) else {
            throw IdentityError(
                .malformedRealmKey, "a realm key is 64 hexadecimal digits",
                remedy: .makeRealmKey)
        }
        defer { wipe(&bytes) }
        self.init(checked: bytes)
    }

    private init(checked bytes: [UInt8]) {
        secret = SecretBytes(bytes)
        id = RealmID(
            derived: hkdfSHA256(
                key: bytes, salt: [UInt8]("dep2p-realm-id-v1".utf8), info: SHA256.hash(bytes).bytes, count: 32))
    }

    /// A new key from the system's randomness.
    public static func generate() -> RealmKey {
        var bytes = SecureRandom.bytes(length)
        defer { wipe(&bytes) }
        return RealmKey(checked: bytes)
    }

    /// The secret itself, as 64 lower-case digits: for its file, never for a log.
    public var hex: String {
        var bytes = secret.copy()
        defer { wipe(&bytes) }
        return Hex.encode(bytes)
    }

    /// A key or identifier of its own for each purpose: HKDF-SHA256 of the realm key under the salt
    /// `dep2p-realm-derive-v1` with the info `varint(label length) ‖ label ‖ info`, so no two pairs of label and info
    /// meet.
    ///
    /// - Parameters:
    ///   - label: names the purpose, for instance `admission`.
    ///   - info: what else the key depends on, such as an epoch.
    ///   - count: the bytes wanted, at most 8160.
    package func derive(label: String, info: [UInt8] = [], count: Int = 32) -> [UInt8] {
        var context: [UInt8] = []
        Varint.append(UInt64(label.utf8.count), to: &context)
        context += label.utf8
        context += info
        var key = secret.copy()
        defer { wipe(&key) }
        return hkdfSHA256(key: key, salt: [UInt8]("dep2p-realm-derive-v1".utf8), info: context, count: count)
    }

    public var description: String { "realm key of \(id)" }

    public static func == (left: RealmKey, right: RealmKey) -> Bool {
        left.secret.isEqual(to: right.secret)
    }

    private static func trimmed(_ text: [UInt8]) -> ArraySlice<UInt8> {
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || (0x09...0x0d).contains($0) }
        let body = text.drop(while: isSpace)
        return body.prefix((body.lastIndex { !isSpace($0) } ?? body.startIndex - 1) - body.startIndex + 1)
    }
}
