/// A key for HMAC-SHA256 (RFC 2104), in guarded memory and wiped with its last copy.
public struct AuthenticationKey: Sendable, Equatable {
    private let secret: SecretBytes

    /// A copy of `bytes`; the caller wipes its own.
    public init(_ bytes: [UInt8]) {
        secret = SecretBytes(bytes)
    }

    /// The 32 bytes that prove the message to who has the key.
    public func authenticate(_ message: [UInt8]) -> [UInt8] {
        secret.withBytes { hmacSHA256(key: $0, message: message) }
    }

    public static func == (left: Self, right: Self) -> Bool { left.secret.isEqual(to: right.secret) }
}

extension RealmKey {
    /// As ``derive(label:info:count:)``, 32 bytes that never leave guarded memory.
    public func deriveKey(label: String, info: [UInt8] = []) -> AuthenticationKey {
        var bytes = derive(label: label, info: info)
        defer { wipe(&bytes) }
        return AuthenticationKey(bytes)
    }
}
