package import DeP2PIdentity

/// By what members of a realm know a node that shows nobody its NodeID: a code of 16 bytes over the name that it has in this
/// run, its NodeID and its addresses, made with a key that is derived from the realm's.
///
/// Who has the realm key and looks for a NodeID computes one code for each node that it hears, and dials those alone whose
/// code it is. Who has not learns nothing: names are random and of one run, so that codes tell neither who a node is, nor
/// that it was here yesterday, nor that two nodes are of one realm; and nobody outside the realm can send members to other
/// addresses.
///
/// A second code, over everything but the NodeID, says the same to members that look for any other.
package struct MemberTag: Hashable, Sendable {
    /// The label under which the key is derived from the realm's.
    package static let keyLabel = "mdns"
    package static let byteCount = 16

    package let bytes: [UInt8]

    /// - Parameters:
    ///   - nodeID: `nil` for the one that says only that it is a member; no NodeID is empty.
    ///   - addresses: as they travel, in their order.
    package init(peerName: [UInt8], nodeID: NodeID?, addresses: [[UInt8]], realm: AuthenticationKey) {
        var message: [UInt8] = []
        for part in [peerName, nodeID?.bytes ?? []] + addresses {
            // Each with its length, so that no two lists of parts are one.
            Varint.append(UInt64(part.count), to: &message)
            message += part
        }
        bytes = Array(realm.authenticate(message).prefix(Self.byteCount))
    }
}
