internal import DeP2PIdentity

/// Reads a message from its first byte to its last.
struct DNSReader {
    let bytes: [UInt8]
    var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard count <= bytes.count - position else { return nil }
        defer { position += count }
        return bytes[position..<position + count]
    }

    mutating func uint16() -> UInt16? { take(2).map { $0.reduce(0) { $0 << 8 | UInt16($1) } } }
    mutating func uint32() -> UInt32? { take(4).map { $0.reduce(0) { $0 << 8 | UInt32($1) } } }

    mutating func name() -> DNSName? {
        var labels: [[UInt8]] = []
        var (at, lowest, pointers, length) = (position, position, 0, 1)
        while at < bytes.count {
            let first = Int(bytes[at])
            switch first >> 6 {
            case 0 where first == 0:
                if pointers == 0 { position = at + 1 }
                return DNSName(labels: labels)
            case 0:
                length += first + 1
                guard length <= DNSName.longest, at + 1 + first <= bytes.count else { return nil }
                labels.append(Array(bytes[at + 1..<at + 1 + first]))
                at += 1 + first
            case 3:
                guard at + 1 < bytes.count, pointers < DNSMessage.pointerLimit else { return nil }
                let target = (first & 0x3f) << 8 | Int(bytes[at + 1])
                // Backwards alone: so there is no way round in a circle.
                guard target < lowest else { return nil }
                if pointers == 0 { position = at + 2 }
                (at, lowest, pointers) = (target, target, pointers + 1)
            default: return nil
            }
        }
        return nil
    }

    mutating func question() -> DNSMessage.Question? {
        guard let name = name(), let type = uint16(), let kind = uint16() else { return nil }
        return DNSMessage.Question(
            name, DNSMessage.RecordType(rawValue: type), wantsUnicast: DNSMessage.unicastBit(kind).isSet)
    }

    /// - Returns: `nil` when it is malformed, and nothing inside when it is of another type or class.
    mutating func record() -> DNSMessage.Record?? {
        guard let name = name(), let type = uint16(), let kind = uint16(), let lifetime = uint32(),
            let length = uint16().map(Int.init), length <= bytes.count - position
        else { return nil }
        let end = position + length
        defer { position = end }
        guard DNSMessage.unicastBit(kind).isInternet else { return .some(nil) }
        let data: DNSMessage.RecordData?
        switch DNSMessage.RecordType(rawValue: type) {
        case .pointer: data = self.name().map { .pointer($0) }
        case .text: data = texts(until: end).map { .text($0) }
        case .service: data = service()
        case .address4: data = length == 4 ? IPAddress(bytes: bytes[position..<end]).map { .address($0) } : nil
        case .address6: data = length == 16 ? IPAddress(bytes: bytes[position..<end]).map { .address($0) } : nil
        default: return .some(nil)
        }
        guard let data, position <= end else { return nil }
        return DNSMessage.Record(name, lifetime: lifetime, data)
    }

    private mutating func texts(until end: Int) -> [[UInt8]]? {
        var texts: [[UInt8]] = []
        while position < end {
            guard let length = take(1)?.first.map(Int.init), length <= end - position, let text = take(length) else {
                return nil
            }
            // An empty one is none (RFC 6763 section 6.1).
            if length > 0 { texts.append(Array(text)) }
        }
        return texts
    }

    private mutating func service() -> DNSMessage.RecordData? {
        // Priority and weight (RFC 2782).
        guard take(4) != nil, let port = uint16(), let host = name() else { return nil }
        return .service(port: port, host: host)
    }
}
