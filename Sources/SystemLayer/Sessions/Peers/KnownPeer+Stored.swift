internal import DeP2PIdentity
internal import DeP2PStorage

/// A peer as it is remembered between runs: `Sources/PROTOCOL.md` section 21 has the bytes.
extension KnownPeer: StoredBytes {
    /// The first byte; a later form takes another and reads this one too.
    private static let form: UInt8 = 1
    /// Bytes of the longest that there can be.
    package static let storedBytes =
        1 + 8 + 1 + 8 + (2 + recordBytes) + (2 + agentBytes) + (2 + protocolBytes) + 1
        + (recordAddresses + provenAddresses) * (2 + Address.maximumLength + 1 + 8 + 8 + 1 + 8)

    package var stored: [UInt8] {
        var bytes = [Self.form] + sequence.stored + [UInt8(min(voucher, .member).rawValue)] + lastSeen.stored
        bytes.append(counted: signedRecord)
        bytes.append(counted: Array(agent.utf8))
        bytes.append(counted: Array(protocols.joined(separator: "\n").utf8))
        let kept = addresses.filter { !$0.origin.isGiven }.prefix(Self.recordAddresses + Self.provenAddresses)
        bytes.append(UInt8(kept.count))
        for known in kept {
            bytes.append(counted: known.address.bytes)
            bytes.append(known.origin.rawValue)
            bytes += known.learnedAt.stored + (known.expires ?? 0).stored
            bytes.append(known.outcome?.rawValue ?? 0)
            bytes += known.triedAt.stored
        }
        return bytes
    }

    package init?(stored bytes: [UInt8]) {
        var fields = Fields(bytes)
        guard fields.number(1) == UInt64(Self.form), let sequence = fields.number(8), let voucher = fields.number(1),
            let lastSeen = fields.number(8), let record = fields.counted(atMost: Self.recordBytes),
            let agent = fields.counted(atMost: Self.agentBytes),
            let protocols = fields.counted(atMost: Self.protocolBytes), let count = fields.number(1),
            count <= Self.recordAddresses + Self.provenAddresses
        else { return nil }
        self.sequence = sequence
        self.voucher = min(AddressRule.Voucher(rawValue: Int(voucher)) ?? .stranger, .member)
        self.lastSeen = lastSeen
        signedRecord = record
        self.agent = String(decoding: agent, as: UTF8.self)
        self.protocols = String(decoding: protocols, as: UTF8.self).split(separator: "\n").map(String.init)
        for _ in 0..<count {
            guard let known = fields.address() else { return nil }
            addresses.append(known)
        }
    }
}

/// Reads numbers and counted bytes; each step gives `nil` instead of passing the end.
private struct Fields {
    private var reader: NetworkOrderReader

    init(_ bytes: [UInt8]) { reader = NetworkOrderReader(bytes) }

    mutating func number(_ length: Int) -> UInt64? {
        guard reader.remaining >= length else { return nil }
        return reader.bytes(length).reduce(0) { $0 << 8 | UInt64($1) }
    }

    mutating func counted(atMost limit: Int) -> [UInt8]? {
        guard let count = number(2), count <= limit, reader.remaining >= Int(count) else { return nil }
        return Array(reader.bytes(Int(count)))
    }

    mutating func address() -> KnownAddress? {
        guard let bytes = counted(atMost: Address.maximumLength),
            // What is no address is none of a peer's: the row does not count.
            let address = try? Address(bytes: bytes),
            let origin = number(1).flatMap({ AddressOrigin(rawValue: UInt8($0)) }), !origin.isGiven,
            let learnedAt = number(8), let expires = number(8), let outcome = number(1), let triedAt = number(8)
        else { return nil }
        var known = KnownAddress(address, origin: origin, learnedAt: learnedAt, expires: expires)
        (known.outcome, known.triedAt) = (KnownAddress.Outcome(rawValue: UInt8(outcome)), triedAt)
        return known
    }
}

extension [UInt8] {
    /// Two bytes of length, in network order, and then the bytes.
    fileprivate mutating func append(counted bytes: [UInt8]) {
        append(UInt8(truncatingIfNeeded: bytes.count >> 8))
        append(UInt8(truncatingIfNeeded: bytes.count))
        append(contentsOf: bytes)
    }
}
