internal import DeP2PIdentity

/// What a node of the BitTorrent DHT is asked (BEP 5, BEP 44).
enum KRPCQuery: Equatable, Sendable {
    case findNode(MainlineID)
    /// Whether it has the mutable item that lies there; it names nodes that are nearer all the same.
    case get(MainlineID)
    case put(MutableItem, token: [UInt8])
}

/// What a node has answered.
struct KRPCAnswer: Equatable, Sendable {
    /// A mutable item as it came; nothing of it is proven.
    struct Item: Equatable, Sendable {
        let publicKey: [UInt8]
        let seq: Int64
        let signature: [UInt8]
        /// Bencoded.
        let value: [UInt8]

        /// The item of `key`, public key and salt; `nil` where it is another's, or a length is beyond its limit.
        func item(of key: [UInt8]) -> MutableItem? {
            guard key.starts(with: publicKey), key.count >= MutableItem.publicKeyLength else { return nil }
            // What is beyond a limit is no item.
            return try? MutableItem(
                publicKey: publicKey, salt: Array(key.dropFirst(MutableItem.publicKeyLength)), seq: seq, value: value,
                signature: signature)
        }
    }

    let id: MainlineID
    var contacts: [MainlineContact] = []
    /// What it has to be shown when something is stored with it; `nil` where it stores nothing.
    var token: [UInt8]?
    var item: Item?
}

/// A message that came.
struct KRPCReply: Equatable, Sendable {
    enum Body: Equatable, Sendable {
        case answer(KRPCAnswer)
        /// BEP 5's and BEP 44's numbers: 204 is a question that it does not know, 302 that it has a newer item.
        case error(Int64)
    }

    let transaction: [UInt8]
    let body: Body
}
