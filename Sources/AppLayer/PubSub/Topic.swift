/// What messages are about: 1 to 256 bytes of UTF-8, told from others byte by byte.
///
/// No `String`: two of those are equal where their bytes are not, and comparing them takes as long as a peer likes.
package struct Topic: Hashable, Sendable {
    /// In bytes.
    package static let lengthLimit = 256

    package let bytes: [UInt8]

    /// - Throws: ``PubSubError`` `invalidTopic`.
    package init(_ name: String) throws(PubSubError) {
        guard let topic = Topic(bytes: Array(name.utf8)) else {
            throw PubSubError(.invalidTopic, detail: "use 1 to \(Self.lengthLimit) bytes")
        }
        self = topic
    }

    /// `nil` unless the bytes are a topic.
    package init?(bytes: [UInt8]) {
        guard (1...Self.lengthLimit).contains(bytes.count) else { return nil }
        guard bytes.allSatisfy({ $0 < 0x80 }) || String(validating: bytes, as: UTF8.self) != nil else { return nil }
        self.bytes = bytes
    }

    package var name: String { String(decoding: bytes, as: UTF8.self) }

    /// In one piece: an array is hashed byte by byte.
    package func hash(into hasher: inout Hasher) { bytes.withUnsafeBytes { hasher.combine(bytes: $0) } }
}
