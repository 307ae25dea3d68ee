/// A key for HMAC-SHA256 (RFC 2104), in guarded memory and wiped with its last copy.
package struct AuthenticationKey: Sendable, Equatable {
    private let secret: SecretBytes

    /// A copy of `bytes`; the caller wipes its own.
    package init(_ bytes: [UInt8]) {
        secret = SecretBytes(bytes)
    }

    /// The 32 bytes that prove the message to who has the key.
    package func authenticate(_ message: [UInt8]) -> [UInt8] {
        secret.withBytes { hmacSHA256(key: $0, message: message) }
    }

    package static func == (left: Self, right: Self) -> Bool { left.secret.isEqual(to: right.secret) }
}

extension RealmKey {
    /// As ``derive(label:info:count:)``, 32 bytes that never leave guarded memory.
    package func deriveKey(label: String, info: [UInt8] = []) -> AuthenticationKey {
        var bytes = derive(label: label, info: info)
        defer { wipe(&bytes) }
        return AuthenticationKey(bytes)
    }
}
