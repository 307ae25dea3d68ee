package import DeP2PIdentity

/// An address of one of this machine's interfaces.
package struct InterfaceAddress: Hashable, Sendable {
    package let address: SocketAddress
    /// Bits of the address that name its subnet.
    package let prefixLength: Int

    /// - Parameter address: the interface's, with the port that the node's socket of that family has.
    package init(_ address: SocketAddress, prefixLength: Int) {
        self.address = address
        self.prefixLength = prefixLength
    }

    /// Whether `ip` is on the interface's subnet.
    package func isNear(_ ip: IPAddress) -> Bool {
        address.ip.family == ip.family && address.ip.prefix(prefixLength) == ip.prefix(prefixLength)
    }

    /// The subnet's broadcast address; `nil` where there is none.
    package var broadcast: IPAddress? {
        guard address.ip.family == .v4, (1..<31).contains(prefixLength) else { return nil }
        return IPAddress(v4: UInt32(truncatingIfNeeded: address.ip.low) | (UInt32.max >> UInt32(prefixLength)))
    }
}
