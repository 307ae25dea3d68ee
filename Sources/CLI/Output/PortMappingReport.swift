import Identity
import QUIC
import SystemLayer

extension Output {
    /// What a router has opened for this node; nil: nothing any more.
    func report(_ mapping: PortMapping?) {
        let address = mapping?.externalAddress
        event(
            "port_mapping",
            [
                .string("protocol", mapping?.kind.rawValue), .string("address", address?.description),
                mapping.map { .int("port", $0.externalPort) } ?? JSONField("port", .null),
            ])
        guard let mapping else { return note("the router has closed the port") }
        let place = address.map { "\(SocketAddress($0, port: mapping.externalPort))" } ?? "port \(mapping.externalPort)"
        note("the router forwards \(place) to this node (\(mapping.kind.name))")
    }
}
