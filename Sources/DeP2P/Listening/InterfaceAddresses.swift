internal import DeP2PIdentity
internal import DeP2PReactor
internal import Glibc

/// The addresses of this machine's network interfaces.
enum InterfaceAddresses {
    /// Addresses looked at.
    static let limit = 256

    /// Those of interfaces that are up and have a link, without link-local ones: these mean nothing without an interface name.
    /// A cable that is pulled takes its addresses along, as one that is plugged in brings them.
    ///
    /// In the order in which to tell them: global, private, then loopback; of each kind first the address that this
    /// machine shows to the world, bridges (of containers and virtual machines, as a rule) last.
    ///
    /// Without ports.
    static func all() -> [InterfaceAddress] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else {
            return [InterfaceAddress(SocketAddress(.v4Loopback, port: 0), prefixLength: 8)]
        }
        defer { freeifaddrs(list) }
        var found: [(ip: IPAddress, prefixLength: Int, rank: Int)] = []
        let shown = shownToTheWorld()
        var next = list
        while let entry = next?.pointee, found.count < limit {
            next = entry.ifa_next
            let carries = UInt32(IFF_UP) | UInt32(IFF_RUNNING)
            guard entry.ifa_flags & carries == carries, let address = ip(entry.ifa_addr), !address.isLinkLocal,
                !found.contains(where: { $0.ip == address })
            else { continue }
            let length = self.address(of: entry)?.prefixLength ?? 0
            let rank = kind(address) + (shown.contains(address) ? 0 : rank(of: entry))
            found.append((address, length, rank))
        }
        // The system's order where nothing else decides.
        return found.enumerated().sorted { ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset) }
            .map {
                InterfaceAddress(SocketAddress($0.element.ip, port: 0), prefixLength: $0.element.prefixLength)
            }
    }

    /// Interfaces looked at by ``links()``.
    static let linkLimit = 64

    /// The interfaces that speak to neighbours: up, with addresses, and carrying multicasts, but no links between two points,
    /// which as a rule are tunnels; and loopback. Bridges (of containers and virtual machines, as a rule) come last.
    static func links() -> [NetworkLink] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var found: [(index: UInt32, name: String, isLoopback: Bool, rank: Int, addresses: [InterfaceAddress])] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ifa_next
            let isLoopback = entry.ifa_flags & UInt32(IFF_LOOPBACK) != 0
            let carries = UInt32(IFF_UP) | (isLoopback ? 0 : UInt32(IFF_MULTICAST))
            guard entry.ifa_flags & carries == carries, entry.ifa_flags & UInt32(IFF_POINTOPOINT) == 0,
                let address = address(of: entry)
            else { continue }
            let name = String(cString: entry.ifa_name)
            if let known = found.firstIndex(where: { $0.name == name }) {
                if found[known].addresses.count < limit { found[known].addresses.append(address) }
            } else if found.count < linkLimit, let index = NetworkInterface.index(of: name) {
                found.append((index, name, isLoopback, isLoopback ? 0 : rank(of: entry), [address]))
            }
        }
        return found.enumerated().sorted { ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset) }.map {
            NetworkLink(
                index: $0.element.index, name: $0.element.name, isLoopback: $0.element.isLoopback,
                addresses: $0.element.addresses)
        }
    }

    private static func address(of entry: ifaddrs) -> InterfaceAddress? {
        guard let address = ip(entry.ifa_addr) else { return nil }
        let length = ip(entry.ifa_netmask).map { $0.high.nonzeroBitCount + $0.low.nonzeroBitCount }
        return InterfaceAddress(
            SocketAddress(address, port: 0), prefixLength: length ?? (address.family == .v4 ? 32 : 128))
    }

    /// Global before private before loopback.
    private static func kind(_ ip: IPAddress) -> Int { ip.isGlobal ? 0 : ip.isLoopback ? 20 : 10 }

    private static func rank(of entry: ifaddrs) -> Int {
        guard entry.ifa_flags & UInt32(IFF_RUNNING) != 0 else { return 3 }
        let isBridge = access("/sys/class/net/\(String(cString: entry.ifa_name))/bridge", F_OK) == 0
        return isBridge ? 2 : 1
    }

    /// The addresses that datagrams to far hosts carry, one a family at most. Nothing is sent: the destinations are set
    /// aside for documentation (RFC 5737, RFC 3849).
    private static func shownToTheWorld() -> [IPAddress] {
        ["192.0.2.1", "2001:db8::1"].compactMap { IPAddress($0) }
            .compactMap { IPAddress.source(toward: SocketAddress($0, port: 9)) }
    }

    private static func ip(_ address: UnsafePointer<sockaddr>?) -> IPAddress? {
        guard let address else { return nil }
        let raw = UnsafeRawPointer(address)
        switch Int32(address.pointee.sa_family) {
        case AF_INET: return IPAddress(v4: UInt32(bigEndian: raw.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr))
        case AF_INET6:
            return withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr) { bytes in
                IPAddress(
                    v6High: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                    low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
            }
        default: return nil
        }
    }
}
