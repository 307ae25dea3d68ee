/// Where an address points: a literal IP address or a name yet to be looked up.
package enum Host: Hashable, Sendable, CustomStringConvertible {
    case ip(IPAddress)
    case dns(String, DNSKind)

    /// Which records a name stands for, as the multiaddr protocols of the same names.
    package enum DNSKind: String, Sendable {
        /// A and AAAA.
        case dns
        /// A.
        case dns4
        /// AAAA.
        case dns6
        /// TXT records that hold whole multiaddrs.
        case dnsaddr
    }

    package var description: String {
        switch self {
        case .ip(let address): address.description
        case .dns(let name, _): name
        }
    }

    /// Whether a text is a host name in the letters, digits, hyphens and underscores of DNS: at most 253 characters in
    /// labels of 1 to 63. A numeric last label is refused, or `1.2.3` would pass for a name (RFC 3696 section 2).
    static func isName(_ text: String) -> Bool {
        var name = [UInt8](text.utf8)
        if name.last == UInt8(ascii: ".") { name.removeLast() }
        let labels = name.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard (1...253).contains(name.count), let last = labels.last, !last.allSatisfy(isDigit) else { return false }
        return labels.allSatisfy { label in
            (1...63).contains(label.count) && label.allSatisfy(isNameCharacter)
                && label.first != UInt8(ascii: "-") && label.last != UInt8(ascii: "-")
        }
    }

    /// Whether a text is an IPv6 zone: the name or index of an interface, at most 15 characters as the kernel has it.
    static func isZone(_ text: String) -> Bool {
        let isZoneCharacter = { (byte: UInt8) in isNameCharacter(byte) || byte == UInt8(ascii: ".") }
        return (1...15).contains(text.utf8.count) && text.utf8.allSatisfy(isZoneCharacter)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func isNameCharacter(_ byte: UInt8) -> Bool {
        let letter = byte | 0x20
        return isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(letter)
            || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }
}
