internal import Glibc

extension IPAddress: CustomStringConvertible {
    /// The longest textual address: 45 characters, as INET6_ADDRSTRLEN less its end.
    private static let maximumTextLength = 45

    /// Reads an IPv4 address of four decimal numbers without leading zeros, or an IPv6 address in any form of RFC 4291
    /// section 2.2. Nil on anything else: no zone, no port, no brackets, no white space, no shortened IPv4.
    public init?(_ text: String) {
        // What stands behind a zero byte, C would not see.
        guard text.utf8.count <= Self.maximumTextLength, !text.utf8.contains(0) else { return nil }
        let isIPv6 = text.utf8.contains(UInt8(ascii: ":"))
        var bytes = [UInt8](repeating: 0, count: isIPv6 ? 16 : 4)
        guard inet_pton(isIPv6 ? AF_INET6 : AF_INET, text, &bytes) == 1 else { return nil }
        if isIPv6 {
            self.init(
                v6High: bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) },
                low: bytes[8...].reduce(0) { $0 << 8 | UInt64($1) })
        } else {
            self.init(v4: bytes.reduce(0) { $0 << 8 | UInt32($1) })
        }
    }

    /// Dotted decimal, or the canonical form of RFC 5952; by hand, since inet_ntop writes `::1:2` as `::0.1.0.2`.
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
}
