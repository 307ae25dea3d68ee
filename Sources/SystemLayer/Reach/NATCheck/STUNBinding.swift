package import DeP2PReactor

/// What a Binding response tells.
package struct STUNBinding: Equatable, Sendable {
    /// This socket's address as the observer saw it.
    package let mapped: SocketAddress
    /// Where the response came from.
    package let source: SocketAddress
    /// The observer's other address and port, where it has one (RFC 5780 section 7.4).
    package let other: SocketAddress?
    /// The second port of an observer with one address.
    package let alternatePort: UInt16?
    /// From the first transmission to the response.
    package let elapsed: Duration

    init?(_ message: STUNMessage, from source: SocketAddress, elapsed: Duration) {
        var (xor, plain, other): (SocketAddress?, SocketAddress?, SocketAddress?)
        var alternatePort: UInt16?
        for attribute in message.attributes {
            switch attribute {
            case .xorMappedAddress(let address): xor = xor ?? address
            case .mappedAddress(let address): plain = plain ?? address
            case .otherAddress(let address): other = other ?? address
            case .alternatePort(let port) where port != 0: alternatePort = alternatePort ?? port
            default: break
            }
        }
        guard let mapped = xor ?? plain else { return nil }
        (self.mapped, self.source, self.other, self.elapsed) = (mapped, source, other, elapsed)
        self.alternatePort = alternatePort
    }
}
