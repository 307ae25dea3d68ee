public import DeP2PIdentity

/// Where a service is for programs of this machine alone: a port of a loopback address, or a Unix socket that only this user
/// may connect to.
public enum LocalAddress: Hashable, Sendable, CustomStringConvertible {
    /// A loopback address; port 0 is a free one.
    case tcp(IPAddress, port: UInt16)
    case unix(path: String)

    /// The longest path of a Unix socket, in bytes: `sun_path` of unix(7), less its zero.
    public static let pathLimit = 107
    private static let unixPrefix = "unix:"

    /// Reads `127.0.0.1:9300`, `[::1]:9300`, `localhost:9300`, or a path: what has `unix:` in front of it, or a slash in it.
    ///
    /// - Throws: ``HTTPError`` `badAddress`, for an address of any other machine too.
    public init(_ text: String) throws(HTTPError) {
        let isUnix = text.hasPrefix(Self.unixPrefix)
        let path = isUnix ? String(text.dropFirst(Self.unixPrefix.count)) : text
        if isUnix || path.utf8.contains(UInt8(ascii: "/")) {
            guard (1...Self.pathLimit).contains(path.utf8.count), !path.utf8.contains(0) else {
                throw HTTPError(.badAddress, "a socket's path has 1 to \(Self.pathLimit) bytes")
            }
            self = .unix(path: path)
            return
        }
        let hostPort: HostPort
        do { hostPort = try HostPort(text) } catch { throw HTTPError(.badAddress, error.message) }
        switch hostPort.host {
        case .ip(let ip)? where Self.isLoopback(ip) && hostPort.zone == nil: self = .tcp(ip, port: hostPort.port)
        case .dns(let name, _)? where name.lowercased() == "localhost": self = .tcp(.v4Loopback, port: hostPort.port)
        default:
            throw HTTPError(.badAddress, "only programs of this machine are served: \(text) is no loopback address")
        }
    }

    /// An IPv4 address written as one of IPv6 is none: no Host header names it so.
    private static func isLoopback(_ ip: IPAddress) -> Bool { ip.family == .v4 ? ip.isLoopback : ip == .v6Loopback }

    /// A port's as a URL, a socket's as its path.
    public var description: String {
        switch self {
        case .tcp(let ip, let port): ip.family == .v4 ? "http://\(ip):\(port)/" : "http://[\(ip)]:\(port)/"
        case .unix(let path): path
        }
    }
}

/// Why nothing can be served.
public struct HTTPError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Code: Equatable, Sendable {
        /// It is no address, or not one of this machine's own.
        case badAddress
        /// Somebody else is there, or the system says no.
        case cannotListen
    }

    public let code: Code
    public let description: String

    package init(_ code: Code, _ description: String) { (self.code, self.description) = (code, description) }
}
