internal import Glibc
internal import Identity

/// The addresses of this machine's network interfaces.
enum InterfaceAddresses {
    /// Addresses looked at.
    static let limit = 256

    /// Those of interfaces that are up, without link-local ones: these mean nothing without an interface name.
    ///
    /// In the order in which to tell them: global, private, then loopback.
    static func all() -> [IPAddress] { withPrefixes().map(\.ip) }

    /// The same with the bits that name each one's subnet.
    static func withPrefixes() -> [(ip: IPAddress, prefixLength: Int)] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [(.v4Loopback, 8)] }
        defer { freeifaddrs(list) }
        var found: [(ip: IPAddress, prefixLength: Int)] = []
        var next = list
        while let entry = next?.pointee, found.count < limit {
            next = entry.ifa_next
            let isUp = entry.ifa_flags & UInt32(IFF_UP) != 0
            guard isUp, let address = ip(entry.ifa_addr), !address.isLinkLocal,
                !found.contains(where: { $0.ip == address })
            else { continue }
            let mask = ip(entry.ifa_netmask)
            let length = mask.map { $0.high.nonzeroBitCount + $0.low.nonzeroBitCount }
            found.append((address, length ?? (address.family == .v4 ? 32 : 128)))
        }
        return found.filter(\.ip.isGlobal) + found.filter { !$0.ip.isGlobal && !$0.ip.isLoopback }
            + found.filter(\.ip.isLoopback)
    }

    /// The index of the interface `name`; 0 when there is none.
    static func index(_ name: String) -> UInt32 { UInt32(name) ?? if_nametoindex(name) }

    private static func ip(_ address: UnsafePointer<sockaddr>?) -> IPAddress? {
        guard let address else { return nil }
        let raw = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET: return IPAddress(v4: UInt32(bigEndian: raw.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr))
        case AF_INET6:
            let bytes = withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr) { Array($0) }
            return IPAddress(bytes: bytes)
        default: return nil
        }
    }
}
