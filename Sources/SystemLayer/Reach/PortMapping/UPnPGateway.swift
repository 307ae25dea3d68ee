internal import CDeP2PMiniUPnPc
package import DeP2PIdentity

/// An Internet gateway that speaks UPnP, through miniupnpc. Every call blocks: call through `offload`.
package final class UPnPGateway: @unchecked Sendable {
    // Proof for @unchecked: the gateway is written once, before it is shared; miniupnpc's commands only read it, and
    // each opens a connection of its own.

    /// What gateways show their owners.
    static let description = "dep2p"

    private let pointer: OpaquePointer

    private init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { dep2p_upnp_free(pointer) }

    /// Looks for a connected gateway on the local network for `milliseconds`.
    package static func discover(milliseconds: Int32 = 2000) -> UPnPGateway? {
        dep2p_upnp_discover(milliseconds).map(UPnPGateway.init)
    }

    /// The gateway's external address; `nil` when it did not tell one.
    package var externalAddress: IPAddress? {
        let text = String(cString: dep2p_upnp_external_address(pointer))
        guard let address = IPAddress(text), !address.isUnspecified else { return nil }
        return address
    }

    /// Whether it is the router at `address`: anything on the local network may answer to the name of a gateway.
    package func isAt(_ address: IPAddress) -> Bool {
        Self.host(ofURL: String(cString: dep2p_upnp_control_url(pointer))) == address
    }

    /// The IPv4 address in `http://ADDRESS[:PORT]/…`; `nil` for another host.
    static func host(ofURL url: String) -> IPAddress? {
        guard url.utf8.starts(with: "http://".utf8) else { return nil }
        let authority = url.utf8.dropFirst(7).prefix { $0 != UInt8(ascii: "/") }
        return String(authority.prefix { $0 != UInt8(ascii: ":") }).flatMap { IPAddress($0) }
    }

    /// Maps a UDP port; `lifetime` in seconds.
    package func add(
        externalPort: UInt16, internalPort: UInt16, lifetime: UInt32
    ) -> PortMappingStateMachine.UPnPResult {
        let result = dep2p_upnp_add(
            pointer, Int32(externalPort), Int32(internalPort), Int32(clamping: lifetime), Self.description)
        // The gateway's own number: any that 32 bits hold.
        guard let port = UInt16(exactly: result), port != 0 else { return .refused(-Int(result)) }
        return .mapped(externalPort: port, address: externalAddress)
    }

    package func remove(externalPort: UInt16) { _ = dep2p_upnp_remove(pointer, Int32(externalPort)) }
}
