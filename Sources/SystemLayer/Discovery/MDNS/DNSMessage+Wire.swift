internal import DeP2PIdentity

extension DNSMessage {
    /// Bytes of the longest message (RFC 6762 section 17).
    package static let longest = 9_000
    /// Questions and records that are read of one message; what is behind them is not looked at.
    static let entryLimit = 256
    /// Pointers that are followed within one name (RFC 1035 section 4.1.4). Each leads to what stands before it.
    static let pointerLimit = 16

    private static let headerBytes = 12
    private static let response: UInt16 = 0x8000
    private static let truncated: UInt16 = 0x0200
    private static let authoritative: UInt16 = 0x0400
    /// Opcode and response code: a message in which they are not 0 is ignored (RFC 6762 sections 18.3 and 18.11).
    private static let codes: UInt16 = 0x780f
    private static let internet: UInt16 = 1
    /// Of a question's class, that a unicast answer will do; of a record's, that it is the only one (RFC 6762 sections
    /// 18.12 and 18.13).
    private static let topBit: UInt16 = 0x8000

    // MARK: Reading

    /// Reads a message; `nil` when any length in it is wrong.
    package init?(_ bytes: [UInt8]) {
        guard (Self.headerBytes...Self.longest).contains(bytes.count) else { return nil }
        var reader = DNSReader(bytes)
        guard let id = reader.uint16(), let flags = reader.uint16(), flags & Self.codes == 0 else { return nil }
        let counts = (0..<4).compactMap { _ in reader.uint16().map(Int.init) }
        guard counts.count == 4 else { return nil }
        self.init()
        self.id = id
        isResponse = flags & Self.response != 0
        isTruncated = flags & Self.truncated != 0
        var room = Self.entryLimit
        for _ in 0..<counts[0] where room > 0 {
            guard let question = reader.question() else { return nil }
            questions.append(question)
            room -= 1
        }
        for (section, count) in counts.dropFirst().enumerated() {
            for _ in 0..<count where room > 0 {
                guard let record = reader.record() else { return nil }
                room -= 1
                // The second section, of authorities, has the records that somebody probes for.
                if let record, section == 0 { answers.append(record) }
                if let record, section == 2 { additional.append(record) }
            }
        }
    }

    fileprivate static func unicastBit(_ value: UInt16) -> (isSet: Bool, isInternet: Bool) {
        (value & topBit != 0, value & ~topBit == internet)
    }

    // MARK: Writing

    /// The message as it travels. Names are shortened where they stand again, but for those of hosts in services
    /// (RFC 2782); what is too long for one message is the caller's fault and cut off by the link.
    package var encoded: [UInt8] {
        var writer = DNSWriter()
        writer.append(id)
        writer.append(
            (isResponse ? Self.response | Self.authoritative : 0) | (isTruncated ? Self.truncated : 0))
        for count in [questions.count, answers.count, 0, additional.count] { writer.append(UInt16(clamping: count)) }
        for question in questions {
            writer.append(question.name)
            writer.append(question.type.rawValue)
            writer.append(Self.internet | (question.wantsUnicast ? Self.topBit : 0))
        }
        for record in answers + additional { writer.append(record, of: Self.internet) }
        return writer.bytes
    }
}

/// Reads a message from its first byte to its last.
private struct DNSReader {
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

/// Writes a message from its first byte to its last.
private struct DNSWriter {
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
