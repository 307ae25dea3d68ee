/// `HOST:PORT`, `[IPV6]:PORT` or `:PORT` as people write it on a command line.
package struct HostPort: Hashable, Sendable, CustomStringConvertible {
    /// The longest text looked at: a name, brackets, zone and port.
    private static let maximumTextLength = 300

    /// Nil for `:PORT`: every local address.
    package let host: Host?
    /// The interface of a link-local address, from `[fe80::1%eth0]:PORT`.
    package let zone: String?
    /// 0 stands for a free port when listening.
    package let port: UInt16

    package init(host: Host?, zone: String? = nil, port: UInt16) {
        self.host = host
        self.zone = zone
        self.port = port
    }

    /// - Throws: `malformedAddress`, with a remedy for an IPv6 address without brackets.
    package init(_ text: String) throws(IdentityError) {
        guard text.utf8.count <= Self.maximumTextLength else { throw Self.error(text, "it is too long") }
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else {
            throw Self.error(text, "the port is missing", remedy: .advice("write HOST:PORT or [IPV6]:PORT"))
        }
        let hostText = text[..<colon]
        let digits = [UInt8](text[text.utf8.index(after: colon)...].utf8)
        if hostText.utf8.first == UInt8(ascii: "[") {
            guard hostText.utf8.last == UInt8(ascii: "]"), hostText.utf8.count > 2 else {
                throw Self.error(
                    text, "the brackets don't enclose an IPv6 address", remedy: .advice("write [IPV6]:PORT"))
            }
            (host, zone) = try Self.bracketed(hostText.dropFirst().dropLast(), in: text)
        } else {
            host = try Self.plain(hostText, in: text)
            zone = nil
        }
        guard let number = IPAddress.decimal(digits[...], limit: 65535) else {
            throw Self.error(text, "the port must be a number from 0 to 65535")
        }
        port = UInt16(number)
    }

    package var description: String {
        switch host {
        case nil: ":\(port)"
        case .ip(let address) where address.family == .v6: "[\(address)\(zone.map { "%" + $0 } ?? "")]:\(port)"
        case .some(let host): "\(host):\(port)"
        }
    }

    private static func bracketed(_ inner: Substring, in text: String) throws(IdentityError) -> (Host, String?) {
        let parts = inner.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let address = IPAddress(parts[0]), address.family == .v6 else {
            throw error(text, "there is no IPv6 address between the brackets")
        }
        let zone = parts.count > 1 ? parts[1] : nil
        if let zone, !Host.isZone(zone) { throw error(text, "the zone after % is not an interface") }
        return (.ip(address), zone)
    }

    private static func plain(_ hostText: Substring, in text: String) throws(IdentityError) -> Host? {
        let hostText = String(hostText)
        if hostText.isEmpty { return nil }
        if hostText.utf8.contains(UInt8(ascii: ":")) {
            throw error(text, "an IPv6 address needs brackets before a port", remedy: .advice("write [IPV6]:PORT"))
        }
        if let address = IPAddress(hostText) { return .ip(address) }
        guard Host.isName(hostText) else { throw error(text, "the host is neither an IP address nor a name") }
        return .dns(hostText, .dns)
    }

    private static func error(_ text: String, _ reason: String, remedy: Remedy? = nil) -> IdentityError {
        IdentityError(.malformedAddress, "“\(text.prefix(80))” is not an address: \(reason)", remedy: remedy)
    }
}
