internal import Glibc
internal import Identity

/// The addresses of this machine's network interfaces.
enum InterfaceAddresses {
    /// Addresses looked at.
    static let limit = 256

    /// Those of interfaces that are up, without link-local ones: these mean nothing without an interface name.
    ///
    /// In the order in which to tell them: global, private, then loopback.
    static func all() -> [IPAddress] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [.v4Loopback] }
        defer { freeifaddrs(list) }
        var found: [IPAddress] = []
        var next = list
        while let entry = next?.pointee, found.count < limit {
            next = entry.ifa_next
            let isUp = entry.ifa_flags & UInt32(IFF_UP) != 0
            guard isUp, let address = ip(entry.ifa_addr), !address.isLinkLocal, !found.contains(address) else {
                continue
            }
            found.append(address)
        }
        return found.filter(\.isGlobal) + found.filter { !$0.isGlobal && !$0.isLoopback } + found.filter(\.isLoopback)
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
