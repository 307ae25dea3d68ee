internal import CDeP2PQUICShim
internal import DeP2PIdentity

/// A stateless reset token (RFC 9000 10.3): 16 bytes, at the end of a datagram that is otherwise noise.
struct ResetToken: Hashable {
    static let length = 16
    /// The shortest datagram that can be a reset (RFC 9000 10.3).
    static let shortestReset = 21

    let low: UInt64
    let high: UInt64

    init(_ bytes: UnsafeRawPointer) {
        low = bytes.loadUnaligned(as: UInt64.self)
        high = bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
    }

    /// The token that a datagram ends with, if it is long enough to be a reset.
    init?(endOf datagram: UnsafeMutableRawBufferPointer) {
        guard datagram.count >= Self.shortestReset, let base = datagram.baseAddress else { return nil }
        self.init(base + datagram.count - Self.length)
    }
}

/// A QUIC connection ID of up to 20 bytes, as a dictionary key without allocation.
struct ConnectionID: Hashable {
    /// The length of the IDs this endpoint makes for itself.
    static let ownLength = 8

    let length: UInt8
    let words: (UInt64, UInt64, UInt32)

    init(_ cid: dep2p_cid) {
        length = cid.length
        words = withUnsafeBytes(of: cid.data) { data in
            (
                data.loadUnaligned(as: UInt64.self), data.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
                data.loadUnaligned(fromByteOffset: 16, as: UInt32.self)
            )
        }
    }

    /// Unpredictable, so that an outsider cannot guess a live one.
    static func random(length: Int = ownLength, from random: RandomSource) -> dep2p_cid {
        var cid = dep2p_cid()
        cid.length = UInt8(length)
        withUnsafeMutableBytes(of: &cid.data) { data in data.copyBytes(from: random.bytes(length)) }
        return cid
    }

    static func == (left: Self, right: Self) -> Bool {
        left.words.0 == right.words.0 && left.words.1 == right.words.1 && left.words.2 == right.words.2
            && left.length == right.length
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        if length > 8 {
            hasher.combine(words.1)
            hasher.combine(words.2)
        }
    }
}
