/// The binary form: for each component its code as a varint, then its value; values of no fixed size behind their
/// length (multiformats/multiaddr, `protocols.csv`).
extension Address {
    private enum Code: UInt64 {
        case ip4 = 4
        case tcp = 6
        case ip6 = 41
        case ip6zone = 42
        case dns = 53
        case dns4 = 54
        case dns6 = 55
        case dnsaddr = 56
        case udp = 273
        case p2pCircuit = 290
        case p2p = 421
        case tls = 448
        case quicV1 = 461
    }

    /// - Throws: `malformedAddress`, `limitExceeded` above 512 bytes or 16 components.
    package init(bytes: [UInt8]) throws(IdentityError) {
        guard bytes.count <= Self.maximumLength else {
            throw IdentityError(
                .limitExceeded, "an address of \(bytes.count) bytes is over the limit of \(Self.maximumLength)")
        }
        var reader = ByteReader(bytes)
        var components: [Component] = []
        while !reader.isAtEnd {
            guard let number = reader.varint() else { throw Self.malformed("a part of it has a bad code") }
            guard let code = Code(rawValue: number) else { throw Self.malformed("protocol \(number) is not known") }
            guard let component = try Self.component(code, &reader) else {
                throw Self.malformed("its value for \(code) is cut short or not valid")
            }
            components.append(component)
        }
        try self.init(components: components)
    }

    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for component in components { Self.append(component, to: &bytes) }
        return bytes
    }

    private static func component(_ code: Code, _ reader: inout ByteReader) throws(IdentityError) -> Component? {
        switch code {
        case .ip4: reader.take(4).flatMap { IPAddress(bytes: $0) }.map(Component.ip)
        case .ip6: reader.take(16).flatMap { IPAddress(bytes: $0) }.map(Component.ip)
        case .ip6zone: text(&reader).map(Component.ip6zone)
        case .dns: text(&reader).map { .dns($0, .dns) }
        case .dns4: text(&reader).map { .dns($0, .dns4) }
        case .dns6: text(&reader).map { .dns($0, .dns6) }
        case .dnsaddr: text(&reader).map { .dns($0, .dnsaddr) }
        case .tcp: reader.uint16().map(Component.tcp)
        case .udp: reader.uint16().map(Component.udp)
        case .quicV1: .quicV1
        case .tls: .tls
        case .p2pCircuit: .p2pCircuit
        case .p2p: try reader.lengthPrefixed().map { id throws(IdentityError) in .p2p(try NodeID(bytes: id)) }
        }
    }

    private static func append(_ component: Component, to bytes: inout [UInt8]) {
        switch component {
        case .ip(let address): append(address.family == .v4 ? .ip4 : .ip6, address.bytes, to: &bytes)
        case .ip6zone(let zone): append(.ip6zone, prefixed: [UInt8](zone.utf8), to: &bytes)
        case .dns(let name, let kind): append(code(of: kind), prefixed: [UInt8](name.utf8), to: &bytes)
        case .tcp(let port): append(.tcp, [UInt8(port >> 8), UInt8(port & 255)], to: &bytes)
        case .udp(let port): append(.udp, [UInt8(port >> 8), UInt8(port & 255)], to: &bytes)
        case .quicV1: append(.quicV1, [], to: &bytes)
        case .tls: append(.tls, [], to: &bytes)
        case .p2p(let id): append(.p2p, prefixed: id.bytes, to: &bytes)
        case .p2pCircuit: append(.p2pCircuit, [], to: &bytes)
        }
    }

    private static func append(_ code: Code, _ value: [UInt8], to bytes: inout [UInt8]) {
        Varint.append(code.rawValue, to: &bytes)
        bytes += value
    }

    private static func append(_ code: Code, prefixed value: [UInt8], to bytes: inout [UInt8]) {
        Varint.append(code.rawValue, to: &bytes)
        Varint.append(UInt64(value.count), to: &bytes)
        bytes += value
    }

    private static func code(of kind: Host.DNSKind) -> Code {
        switch kind {
        case .dns: .dns
        case .dns4: .dns4
        case .dns6: .dns6
        case .dnsaddr: .dnsaddr
        }
    }

    private static func text(_ reader: inout ByteReader) -> String? {
        reader.lengthPrefixed().flatMap { String(validating: $0, as: UTF8.self) }
    }

    private static func malformed(_ reason: String) -> IdentityError {
        IdentityError(.malformedAddress, "a binary address is malformed: \(reason)")
    }
}
