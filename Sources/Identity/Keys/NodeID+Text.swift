extension NodeID: CustomStringConvertible {
    /// The longest text looked at: hexadecimal CIDs are the longest form, with 95 characters.
    static let maximumTextLength = 100

    private static let cidVersion: UInt8 = 1
    private static let keyCodec: UInt8 = 0x72  // libp2p-key, in one varint byte

    private static let base36 = Radix("0123456789abcdefghijklmnopqrstuvwxyz")

    /// Reads `12D3KooW…`, `16Uiu2…` and `Qm…` (base58btc multihash) and CIDv1 with the `libp2p-key` codec in the
    /// multibases base32 (`bafz…`), base36 (`k…`), base58btc (`z…`) and base16 (`f…`).
    ///
    /// - Throws: `malformedNodeID`.
    public init(_ text: String) throws(IdentityError) {
        let characters = [UInt8](text.utf8)
        guard !characters.isEmpty else { throw IdentityError(.malformedNodeID, "the node ID is empty") }
        guard characters.count <= Self.maximumTextLength else {
            throw IdentityError(.malformedNodeID, "\(characters.count) characters are too many for a node ID")
        }
        let isMultihash = characters[0] == UInt8(ascii: "1") || text.hasPrefix("Qm")
        let decoded = isMultihash ? Base58.decode(text) : Self.decodeCID(characters)
        guard let decoded else {
            throw IdentityError(
                .malformedNodeID, "“\(text)” is not a node ID",
                remedy: .advice("a node ID looks like 12D3KooW… and has 52 characters"))
        }
        do throws(IdentityError) {
            try self.init(bytes: decoded)
        } catch {
            throw IdentityError(
                .malformedNodeID, "“\(text)” is not a node ID: \(error.message)",
                remedy: .advice("copy the whole ID; one from a dep2p node has 52 characters"))
        }
    }

    /// Base58btc of the multihash.
    public var description: String { Base58.encode(bytes) }

    /// The last eight characters, for people: the first ones are the same for every Ed25519 key.
    public var short: String { "…" + description.suffix(8) }

    /// The CIDv1 form, in base32.
    package var cid: String { "b" + Base32.encode([Self.cidVersion, Self.keyCodec] + bytes) }

    private static func decodeCID(_ text: [UInt8]) -> [UInt8]? {
        let body = text.dropFirst()
        let decoded: [UInt8]? =
            switch text[0] {
            case UInt8(ascii: "b"), UInt8(ascii: "B"): Base32.decode(body)
            case UInt8(ascii: "k"): base36.decode([UInt8](body), limit: maximumTextLength)
            case UInt8(ascii: "z"): Base58.radix.decode([UInt8](body), limit: maximumTextLength)
            case UInt8(ascii: "f"), UInt8(ascii: "F"): Hex.decode([UInt8](body))
            default: nil
            }
        guard let decoded, decoded.starts(with: [cidVersion, keyCodec]) else { return nil }
        return [UInt8](decoded.dropFirst(2))
    }
}
