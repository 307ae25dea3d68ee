internal import DeP2PIdentity
internal import Synchronization

/// The public keys of those whose messages were verified last: to make one of a NodeID takes as long as a signature does.
package final class AuthorKeys: Sendable {
    static let limit = 1_024

    private let keys = Mutex<[NodeID: PublicKey]>([:])

    package init() {}

    /// - Parameter sent: the key in its message, where the NodeID is only its hash.
    func key(of author: NodeID, sent: [UInt8]?) -> PublicKey? {
        if let key = keys.withLock({ $0[author] }) { return key }
        guard let key = author.publicKey ?? Self.key(sent, of: author) else { return nil }
        keys.withLock { keys in
            if keys.count >= Self.limit { keys.removeAll() }
            keys[author] = key
        }
        return key
    }

    private static func key(_ sent: [UInt8]?, of author: NodeID) -> PublicKey? {
        // What is no key, or another's, signs nothing.
        guard let sent, let key = try? PublicKey(protobuf: sent), key.nodeID == author else { return nil }
        return key
    }
}
