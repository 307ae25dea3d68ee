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

    static func unicastBit(_ value: UInt16) -> (isSet: Bool, isInternet: Bool) {
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
