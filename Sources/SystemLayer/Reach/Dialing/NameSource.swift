package import DeP2PIdentity
internal import DeP2PReactor
package import DeP2PSessions
internal import Glibc

/// Where names are looked up.
package struct NameSource: Sendable {
    package typealias Lookup = @Sendable (String, IPAddress.Family?) -> Result<[IPAddress], TransportFailure>
    package typealias TextLookup = @Sendable (String, _ patience: Duration) -> Result<[[UInt8]], TransportFailure>

    /// The addresses of a host, of one family or of both. It may block.
    package var addresses: Lookup
    /// The text records of a name, each with its strings in one. It may block, for as long as whoever asks has patience.
    package var texts: TextLookup
    /// The interface that an IPv6 zone names (RFC 4007 section 11); `nil` when there is none.
    package var zone: @Sendable (String) -> UInt32?

    package init(
        addresses: @escaping Lookup, texts: @escaping TextLookup = { _, _ in .success([]) },
        zone: @escaping @Sendable (String) -> UInt32?
    ) {
        (self.addresses, self.texts, self.zone) = (addresses, texts, zone)
    }

    /// This machine's.
    package static let system = NameSource(
        addresses: NameResolver.systemLookup, texts: SystemTexts.lookUp, zone: { NetworkInterface.index(of: $0) })
}
