extension IPAddress: CustomStringConvertible {
    /// The longest textual address: 45 characters, as INET6_ADDRSTRLEN less its end.
    private static let maximumTextLength = 45

    /// Reads an IPv4 address of four decimal numbers without leading zeros, or an IPv6 address in any form of RFC 4291
    /// section 2.2. Nil on anything else: no zone, no port, no brackets, no white space, no shortened IPv4.
    public init?(_ text: String) {
        let characters = [UInt8](text.utf8)
        guard characters.count <= Self.maximumTextLength else { return nil }
        if characters.contains(UInt8(ascii: ":")) {
            guard let words = Self.ipv6Words(characters) else { return nil }
            self.init(
                v6High: words[..<4].reduce(0) { $0 << 16 | UInt64($1) },
                low: words[4...].reduce(0) { $0 << 16 | UInt64($1) })
        } else {
            guard let bits = Self.ipv4Bits(characters[...]) else { return nil }
            self.init(v4: bits)
        }
    }

    /// Dotted decimal, or the canonical form of RFC 5952.
    public var description: String {
        switch family {
        case .v4: Self.dotted(UInt32(truncatingIfNeeded: low))
        case .v6: isV4Mapped ? "::ffff:" + Self.dotted(UInt32(truncatingIfNeeded: low)) : compressedText
        }
    }

    private static func dotted(_ bits: UInt32) -> String {
        "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).\(bits & 255)"
    }

    /// RFC 5952 section 4.2: the longest run of at least two zero words becomes `::`, the first of equal ones.
    private var compressedText: String {
        let words = (0..<8).map { index in
            UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> (48 - 16 * UInt64(index % 4)))
        }
        var best = 0..<0
        var start = 0
        while start < words.count {
            let length = words[start...].prefix { $0 == 0 }.count
            if length > best.count { best = start..<(start + length) }
            start += max(length, 1)
        }
        let text = { (part: ArraySlice<UInt16>) in part.map { String($0, radix: 16) }.joined(separator: ":") }
        guard best.count >= 2 else { return text(words[...]) }
        return text(words[..<best.lowerBound]) + "::" + text(words[best.upperBound...])
    }

    /// RFC 6943 section 3.1.1: only four decimal numbers. Leading zeros are refused since some readers take them as octal.
    private static func ipv4Bits(_ text: ArraySlice<UInt8>) -> UInt32? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bits: UInt32 = 0
        for part in parts {
            guard let number = decimal(part, limit: 255) else { return nil }
            bits = bits << 8 | UInt32(number)
        }
        return bits
    }

    /// A decimal number without sign or leading zero, at most `limit`.
    static func decimal(_ text: ArraySlice<UInt8>, limit: Int) -> Int? {
        guard (1...5).contains(text.count), text.count == 1 || text.first != UInt8(ascii: "0") else { return nil }
        var value = 0
        for character in text {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(character) else { return nil }
            value = value * 10 + Int(character - UInt8(ascii: "0"))
        }
        return value <= limit ? value : nil
    }

    private static func ipv6Words(_ text: [UInt8]) -> [UInt16]? {
        let colon = UInt8(ascii: ":")
        guard let gap = text.indices.dropLast().first(where: { text[$0] == colon && text[$0 + 1] == colon }) else {
            guard let words = words(text[...], mayEndInIPv4: true), words.count == 8 else { return nil }
            return words
        }
        let tail = text[(gap + 2)...]
        guard let front = gap == 0 ? [] : words(text[..<gap], mayEndInIPv4: false),
            let back = tail.isEmpty ? [] : words(tail, mayEndInIPv4: true),
            front.count + back.count < 8
        else { return nil }
        return front + [UInt16](repeating: 0, count: 8 - front.count - back.count) + back
    }

    /// Words of one to four hexadecimal digits; the last one may be an IPv4 address standing for two.
    private static func words(_ text: ArraySlice<UInt8>, mayEndInIPv4: Bool) -> [UInt16]? {
        let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count <= 8 else { return nil }
        var words: [UInt16] = []
        for (index, part) in parts.enumerated() {
            if mayEndInIPv4, index == parts.count - 1, part.contains(UInt8(ascii: ".")) {
                guard let bits = ipv4Bits(part) else { return nil }
                words += [UInt16(bits >> 16), UInt16(truncatingIfNeeded: bits)]
                continue
            }
            guard (1...4).contains(part.count) else { return nil }
            var word: UInt16 = 0
            for digit in part {
                guard let value = Hex.value(of: digit) else { return nil }
                word = word << 4 | UInt16(value)
            }
            words.append(word)
        }
        return words
    }
}
