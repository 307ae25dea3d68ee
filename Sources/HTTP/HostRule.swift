internal import DeP2PIdentity

/// Whom a request's Host header (RFC 9110 section 7.2) may be meant for: pure.
///
/// A web page from anywhere can have a browser ask this machine's ports, under a name of its own that resolves to a loopback
/// address (DNS rebinding), and may then read the answers. But the browser names that name.
enum HostRule: Equatable, Sendable {
    /// A Unix socket: no browser goes there.
    case any
    /// Names and addresses of this machine, with that port.
    case loopback(port: UInt16)

    private static let defaultPort: UInt16 = 80

    func admits(_ host: String?) -> Bool {
        guard case .loopback(let port) = self else { return true }
        guard let host, let (name, given) = Self.split(host), given ?? Self.defaultPort == port else { return false }
        return Self.isLocal(name)
    }

    private static func isLocal(_ name: Substring) -> Bool {
        if name.lowercased() == "localhost" { return true }
        if name.first == "[", name.last == "]" { return IPAddress(String(name.dropFirst().dropLast())) == .v6Loopback }
        return IPAddress(String(name)).map { $0.family == .v4 && $0.isLoopback } ?? false
    }

    /// The name, an IPv6 address with its brackets, and the port if there is one; nil when that is none.
    private static func split(_ host: String) -> (name: Substring, port: UInt16?)? {
        guard let colon = host.lastIndex(of: ":"), !host.hasSuffix("]") else { return (host[...], nil) }
        let digits = host[host.index(after: colon)...].utf8
        guard (1...5).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = UInt16(String(digits) ?? "")
        else { return nil }
        return (host[..<colon], port)
    }
}
