internal import DeP2PIdentity

/// Names one request and its response: 96 random bits (RFC 8489 section 5).
package struct STUNTransactionID: Hashable, Sendable {
    package let high: UInt32
    package let low: UInt64

    package init(high: UInt32, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The generator must be unpredictable: the id is all that protects a response from being forged off path.
    package static func random(using generator: inout some RandomNumberGenerator) -> Self {
        Self(high: .random(in: .min ... .max, using: &generator), low: .random(in: .min ... .max, using: &generator))
    }

    /// 12 bytes in network order.
    package var bytes: [UInt8] { high.bigEndianBytes + low.bigEndianBytes }
}
