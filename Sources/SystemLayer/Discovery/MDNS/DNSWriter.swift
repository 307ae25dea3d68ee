internal import DeP2PIdentity

/// Writes a message from its first byte to its last.
struct DNSWriter {
    /// Where a pointer can still lead (14 bits).
    private static let reach = 0x3fff

    private(set) var bytes: [UInt8] = []
    private var places: [DNSName: Int] = [:]

    mutating func append(_ number: UInt16) { bytes += number.bigEndianBytes }

    mutating func append(_ name: DNSName, isShortened: Bool = true) {
        var rest = name
        while let label = rest.labels.first, let parent = rest.parent {
            if isShortened, let place = places[rest] { return append(0xc000 | UInt16(place)) }
            if bytes.count <= Self.reach, places[rest] == nil { places[rest] = bytes.count }
            bytes.append(UInt8(label.count))
            bytes += label
            rest = parent
        }
        bytes.append(0)
    }

    mutating func append(_ record: DNSMessage.Record, of kind: UInt16) {
        append(record.name)
        append(record.data.type.rawValue)
        append(kind)
        bytes += record.lifetime.bigEndianBytes
        let start = bytes.count
        append(UInt16(0))
        switch record.data {
        case .pointer(let name): append(name)
        case .text(let texts):
            for text in texts {
                bytes.append(UInt8(clamping: text.count))
                bytes += text.prefix(Int(UInt8.max))
            }
            // At least one, if empty (RFC 6763 section 6.1).
            if texts.isEmpty { bytes.append(0) }
        case .service(let port, let host):
            append(UInt16(0))
            append(UInt16(0))
            append(port)
            append(host, isShortened: false)
        case .address(let ip): bytes += ip.bytes
        }
        bytes.replaceSubrange(start..<start + 2, with: UInt16(clamping: bytes.count - start - 2).bigEndianBytes)
    }
}
