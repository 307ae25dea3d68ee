/// The name of a piece of content (multiformats/cid), of which only its hash counts here: CIDv0 `Qm…`, and CIDv1 in the
/// multibases base32 (`b…`), base36 (`k…`), base58btc (`z…`) and base16 (`f…`).
public struct CID: Hashable, Sendable, CustomStringConvertible {
    /// The longest text looked at: the longest multihash in hexadecimal.
    static let maximumTextLength = 192
    /// Bytes of a digest: SHA-512 has as many.
    static let digestLimit = 64

    private static let version: UInt64 = 1
    private static let dagPB: UInt64 = 0x70
    private static let base36 = Radix("0123456789abcdefghijklmnopqrstuvwxyz")

    /// What the content is encoded as; of CIDv0 always dag-pb.
    package let codec: UInt64
    /// Code of the hash function, length and digest. Two CIDs of one multihash are provided by the same nodes.
    package let multihash: [UInt8]

    /// - Parameter multihash: nil unless it is one of at most 64 bytes of digest.
    package init?(codec: UInt64, multihash: [UInt8]) {
        guard codec < 1 << 63, Self.isMultihash(multihash) else { return nil }
        (self.codec, self.multihash) = (codec, multihash)
    }

    /// Nil for what is none.
    public init?(_ text: String) {
        let characters = [UInt8](text.utf8)
        guard let first = characters.first, characters.count <= Self.maximumTextLength else { return nil }
        if text.hasPrefix("Qm"), characters.count == 46 {
            guard let multihash = Base58.decode(text), multihash.starts(with: [0x12, 32]) else { return nil }
            self.init(codec: Self.dagPB, multihash: multihash)
            return
        }
        let body = characters.dropFirst()
        let decoded: [UInt8]? =
            switch first {
            case UInt8(ascii: "b"), UInt8(ascii: "B"): Base32.decode(body)
            case UInt8(ascii: "k"): Self.base36.decode([UInt8](body), limit: Self.maximumTextLength)
            case UInt8(ascii: "z"): Base58.radix.decode([UInt8](body), limit: Self.maximumTextLength)
            case UInt8(ascii: "f"), UInt8(ascii: "F"): Hex.decode([UInt8](body))
            default: nil
            }
        guard let decoded, case .value(Self.version, let length) = Varint.decode(decoded),
            case .value(let codec, let next) = Varint.decode(decoded.dropFirst(length))
        else { return nil }
        self.init(codec: codec, multihash: [UInt8](decoded.dropFirst(length + next)))
    }

    /// Whether that is a hash's code, its length and so many bytes.
    package static func isMultihash(_ bytes: [UInt8]) -> Bool {
        guard case .value(_, let code) = Varint.decode(bytes),
            case .value(let length, let next) = Varint.decode(bytes.dropFirst(code))
        else { return false }
        return length <= digestLimit && bytes.count - code - next == Int(length)
    }

    /// CIDv1 in base32.
    public var description: String {
        "b" + Base32.encode(Varint.encode(Self.version) + Varint.encode(codec) + multihash)
    }
}
