internal import DeP2PIdentity
internal import DeP2PReactor

/// Whom what arrives counts for: as it was when that began, for a connection may move.
///
/// Whoever has the realm key has any number of identities, so a limit for each NodeID needs one for each ``Subject``
/// beside it.
struct Sender: Hashable {
    let nodeID: NodeID
    let subject: Subject
}
