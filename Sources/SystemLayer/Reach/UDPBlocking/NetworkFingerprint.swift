internal import DeP2PIdentity
internal import DeP2PReactor
internal import Glibc

/// Names the network that this machine is in, without saying which it is: a hash over its gateways.
package enum NetworkFingerprint {
    /// Hexadecimal digits.
    static let length = 32
    /// Bytes of a kernel table that are looked at.
    private static let tableLimit = 256 * 1024

    static func isFingerprint(_ text: some StringProtocol) -> Bool {
        text.utf8.count == length && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// Of the network that this machine is in now. Reads kernel tables: not for the network thread.
    package static func current() -> String {
        of(
            routes: KernelTable.read("/proc/net/route", limit: tableLimit),
            routes6: KernelTable.read("/proc/net/ipv6_route", limit: tableLimit),
            neighbours: KernelTable.read("/proc/net/arp", limit: tableLimit))
    }

    /// - Parameters:
    ///   - routes: `/proc/net/route`.
    ///   - routes6: `/proc/net/ipv6_route`.
    ///   - neighbours: `/proc/net/arp`: a home's gateway has the address of every other home's, but not its hardware's.
    static func of(routes: [UInt8], routes6: [UInt8], neighbours: [UInt8]) -> String {
        var parts: [String] = []
        if let gateway = Gateway.ipv4(inRoutes: routes) {
            let hardware = hardwareAddress(of: gateway, in: text(neighbours))
            parts.append("4 \(gateway.address) \(hardware ?? gateway.interface)")
        }
        if let gateway = Gateway.ipv6(inRoutes: routes6) { parts.append("6 \(gateway.address) \(gateway.interface)") }
        // Without a gateway the network is what can be reached directly.
        if parts.isEmpty { parts = links(in: text(routes)) + links6(in: text(routes6)) }
        return String(SHA256.hash(Array(parts.joined(separator: "\n").utf8).span.bytes).hex.prefix(length))
    }

    private static func text(_ table: [UInt8]) -> String { String(decoding: table, as: UTF8.self) }

    private static func links(in routes: String) -> [String] {
        lines(routes).compactMap { $0.count >= 8 ? "\($0[0]) \($0[1]) \($0[7])" : nil }
    }

    /// Without hosts, multicast and link-local addresses, which every network has; the counters change.
    private static func links6(in routes: String) -> [String] {
        lines(routes).compactMap { fields in
            guard fields.count >= 10, fields[1] != "80", !fields[0].hasPrefix("ff"), !fields[0].hasPrefix("fe8") else {
                return nil
            }
            return "\(fields[9]) \(fields[0]) \(fields[1])"
        }
    }

    private static func lines(_ table: String) -> [[Substring]] {
        table.split(separator: "\n").prefix(Gateway.maximumLines).map { $0.split(whereSeparator: \.isWhitespace) }
    }

    private static func hardwareAddress(of gateway: Gateway, in table: String) -> String? {
        let wanted = "\(gateway.address)"
        for line in table.split(separator: "\n").dropFirst().prefix(Gateway.maximumLines) {
            let fields = line.split(whereSeparator: \.isWhitespace)
            if fields.count >= 4, fields[0] == wanted, fields[3] != "00:00:00:00:00:00" { return String(fields[3]) }
        }
        return nil
    }
}
