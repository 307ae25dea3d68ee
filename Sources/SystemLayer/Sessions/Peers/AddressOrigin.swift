/// Where the knowledge of an address comes from. The numbers are stored.
package enum AddressOrigin: UInt8, Hashable, Sendable {
    /// This node's user, or its application, named it as the node's.
    case user = 1
    /// They named it as that of a relay of theirs.
    case relay = 2
    /// It follows from where a relay says that it listens, at a host that the user named.
    case derived = 3
    /// This node connected there, and the other proved to be that node.
    case proven = 4
    /// The node's own signed record.
    case record = 5
    /// It was heard on a network of this machine's, of a host there.
    case link = 6
    /// A node of the DHT says so.
    case dht = 7

    /// Whether it takes nobody's word but the user's: of this run only, and never displaced by what is learned.
    package var isGiven: Bool { self == .user || self == .relay || self == .derived }
}
