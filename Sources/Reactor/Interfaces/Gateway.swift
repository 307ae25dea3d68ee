package import DeP2PIdentity
internal import Glibc

/// The router that this machine sends everything else to, read from the kernel's tables.
package struct Gateway: Hashable, Sendable {
    package let address: IPAddress
    /// The network interface's name.
    package let interface: String
    let metric: UInt32

    /// - Parameter metric: the lowest is used.
    package init(address: IPAddress, interface: String, metric: UInt32 = 0) {
        (self.address, self.interface, self.metric) = (address, interface, metric)
    }

    /// Most table lines looked at.
    package static let maximumLines = 4096

    private static let up: UInt32 = 0x1
    private static let viaGateway: UInt32 = 0x2

    /// The best IPv4 default route of `/proc/net/route`.
    package static func ipv4(inRoutes table: [UInt8]) -> Gateway? {
        best(in: table) { fields in
            guard fields.count >= 8, number(fields[1]) == 0, number(fields[7]) == 0, let flags = number(fields[3]),
                flags & up != 0, flags & viaGateway != 0, let bits = number(fields[2]), bits != 0
            else { return nil }
            // The kernel prints the four bytes as one number of the machine's own byte order.
            let address = IPAddress(v4: UInt32(bigEndian: bits))
            return Gateway(address: address, interface: text(fields[0]), metric: UInt32(text(fields[6])) ?? .max)
        }
    }

    /// The best IPv6 default route of `/proc/net/ipv6_route`.
    package static func ipv6(inRoutes table: [UInt8]) -> Gateway? {
        best(in: table) { fields in
            guard fields.count >= 10, fields[0].allSatisfy({ $0 == UInt8(ascii: "0") }), number(fields[1]) == 0,
                let flags = number(fields[8]), flags & up != 0, flags & viaGateway != 0, fields[4].count == 32,
                let high = UInt64(text(fields[4].prefix(16)), radix: 16),
                let low = UInt64(text(fields[4].suffix(16)), radix: 16), high != 0 || low != 0
            else { return nil }
            return Gateway(
                address: IPAddress(v6High: high, low: low), interface: text(fields[9]),
                metric: number(fields[5]) ?? .max)
        }
    }

    private static func best(in table: [UInt8], _ parse: ([ArraySlice<UInt8>]) -> Gateway?) -> Gateway? {
        table.split(separator: UInt8(ascii: "\n")).prefix(maximumLines)
            .compactMap { parse($0.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }) }
            .min { $0.metric < $1.metric }
    }

    private static func text(_ field: ArraySlice<UInt8>) -> String { String(decoding: field, as: UTF8.self) }

    private static func number(_ field: ArraySlice<UInt8>) -> UInt32? { UInt32(text(field), radix: 16) }
}

extension Gateway {
    /// The gateway of this machine's default route; `nil` when there is none.
    package static func current(_ family: IPAddress.Family) -> Gateway? {
        switch family {
        case .v4: readSmallFile("/proc/net/route").flatMap(ipv4(inRoutes:))
        case .v6: readSmallFile("/proc/net/ipv6_route").flatMap(ipv6(inRoutes:))
        }
    }

    /// Longest route table read: ``maximumLines`` lines of at most 160 bytes.
    private static let maximumFile = maximumLines * 160

    private static func readSmallFile(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < maximumFile {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { break }
            bytes += buffer.prefix(count)
        }
        return bytes
    }
}
