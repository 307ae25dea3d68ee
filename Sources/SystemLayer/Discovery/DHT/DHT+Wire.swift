internal import DeP2PIdentity
internal import DeP2PWire
internal import FoundationEssentials
internal import SwiftProtobuf

/// What is asked of a node of the DHT (libp2p kad-dht, "RPC messages").
package enum DHTRequest: Equatable, Sendable {
    /// The longest message taken, in bytes: twenty contacts with sixteen addresses each, and an item.
    package static let messageLimit = 64 * 1_024
    /// Of a key: a NodeID, a multihash, or a public key and its salt.
    package static let keyLimit = 128

    /// The nodes closest to where the hash of `key` lies, a NodeID's bytes.
    case findNode(key: [UInt8])
    /// The nodes closest to a place of which no more is known; only a node of ours understands it.
    case findPlace(DHTKey)
    /// The item whose public key and salt `key` is, and the nodes closest to it.
    case getItem(key: [UInt8])
    case putItem(MutableItem, token: [UInt8])
    /// Who provides what `key`, a multihash, stands for, and the nodes closest to it.
    case getProviders(key: [UInt8])
    case addProvider(key: [UInt8], DHTContact, token: [UInt8])

    /// Where it is about.
    package var place: DHTKey {
        switch self {
        case .findNode(let key), .getItem(let key), .getProviders(let key), .addProvider(let key, _, _):
            DHTKey(hashing: key)
        case .findPlace(let place): place
        case .putItem(let item, _): item.key
        }
    }
}

/// What a node of the DHT answers.
package struct DHTResponse: Equatable, Sendable {
    /// Contacts and providers looked at in one answer.
    package static let contactLimit = 2 * DHT.replication

    package var closer: [DHTContact] = []
    package var providers: [DHTContact] = []
    package var item: MutableItem?
    /// What this asker has to show to store something under the key that it asked for.
    package var token: [UInt8] = []
    /// Why nothing was stored; `nil` where it was, and in every other answer.
    package var refusal: RecordRefusal?

    package init() {}
}

/// Why a message is none.
package struct DHTMessageError: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}

extension DHTRequest {
    package func encoded() throws -> [UInt8] {
        var message = Dep2p_Dht_Message()
        message.type = type
        switch self {
        case .findNode(let key), .getItem(let key), .getProviders(let key): message.key = Data(key)
        case .findPlace(let place):
            // Empty, so that a node of libp2p's answers with those closest to some other place rather than with an error.
            message.key = Data()
            message.target = Data(place.bytes)
        case .putItem(let item, let token):
            message.key = Data(item.publicKey + item.salt)
            message.item = Dep2p_Dht_Item(item)
            message.token = Data(token)
        case .addProvider(let key, let provider, let token):
            message.key = Data(key)
            message.providerPeers = [Dep2p_Dht_Message.Peer(provider)]
            message.token = Data(token)
        }
        return try message.serializedBytes()
    }

    /// - Throws: ``DHTMessageError`` for what no node of ours asks: libp2p's records of other kinds are not kept here.
    package init(decoding bytes: [UInt8]) throws {
        let message = try Dep2p_Dht_Message(bounded: bytes)
        let key = [UInt8](message.key)
        guard key.count <= Self.keyLimit else { throw DHTMessageError("a key of \(key.count) bytes is too long") }
        switch message.type {
        case .findNode:
            if message.hasTarget {
                guard let place = DHTKey(bytes: [UInt8](message.target)) else {
                    throw DHTMessageError("a place has 32 bytes")
                }
                self = .findPlace(place)
            } else {
                self = .findNode(key: key)
            }
        case .getValue: self = .getItem(key: key)
        case .putValue:
            guard message.hasItem else { throw DHTMessageError("a record that is no item") }
            self = .putItem(try MutableItem(message.item), token: message.boundedToken)
        case .getProviders: self = .getProviders(key: key)
        case .addProvider:
            guard message.providerPeers.count == 1, let provider = DHTContact(message.providerPeers[0]) else {
                throw DHTMessageError("not one provider")
            }
            self = .addProvider(key: key, provider, token: message.boundedToken)
        case .ping: throw DHTMessageError("a kind of request that is deprecated")
        }
    }

    fileprivate var type: Dep2p_Dht_Message.MessageType {
        switch self {
        case .findNode, .findPlace: .findNode
        case .getItem: .getValue
        case .putItem: .putValue
        case .getProviders: .getProviders
        case .addProvider: .addProvider
        }
    }
}

extension DHTResponse {
    /// - Parameter request: the one that it answers, whose kind and key it repeats.
    package func encoded(to request: DHTRequest) throws -> [UInt8] {
        var message = Dep2p_Dht_Message()
        message.type = request.type
        message.closerPeers = closer.prefix(Self.contactLimit).map { Dep2p_Dht_Message.Peer($0) }
        message.providerPeers = providers.prefix(Self.contactLimit).map { Dep2p_Dht_Message.Peer($0) }
        if let item { message.item = Dep2p_Dht_Item(item) }
        if !token.isEmpty { message.token = Data(token) }
        if let refusal { message.refusal = refusal.rawValue }
        return try message.serializedBytes()
    }

    /// Contacts that say nothing usable are left out; an item is not looked at for its signature here.
    package init(decoding bytes: [UInt8]) throws {
        let message = try Dep2p_Dht_Message(bounded: bytes)
        closer = message.closerPeers.prefix(Self.contactLimit).compactMap { DHTContact($0) }
        providers = message.providerPeers.prefix(Self.contactLimit).compactMap { DHTContact($0) }
        item = message.hasItem ? try MutableItem(message.item) : nil
        token = message.boundedToken
        // A reason that is unknown here is one all the same.
        refusal = message.hasRefusal ? RecordRefusal(rawValue: message.refusal) ?? .malformed : nil
    }
}

extension Dep2p_Dht_Message {
    fileprivate init(bounded bytes: [UInt8]) throws {
        guard bytes.count <= DHTRequest.messageLimit else {
            throw DHTMessageError("a message of \(bytes.count) bytes is over the limit of \(DHTRequest.messageLimit)")
        }
        // The decoder's own words say no more than the error does.
        guard let message = try? Dep2p_Dht_Message(serializedBytes: bytes) else {
            throw DHTMessageError("the message is malformed")
        }
        self = message
    }

    /// Another node's token is opaque, and short.
    fileprivate var boundedToken: [UInt8] { [UInt8](token.prefix(DHTRequest.keyLimit)) }
}

extension Dep2p_Dht_Message.Peer {
    fileprivate init(_ contact: DHTContact) {
        self.init()
        id = Data(contact.nodeID.bytes)
        addrs = contact.addresses.map { Data($0.bytes) }
    }
}

extension DHTContact {
    fileprivate init?(_ peer: Dep2p_Dht_Message.Peer) {
        // A peer without a name is none; addresses of transports that are unknown here are no fault of the peer's.
        guard let nodeID = try? NodeID(bytes: [UInt8](peer.id)) else { return nil }
        let addresses = peer.addrs.prefix(Self.addressLimit).compactMap { try? Address(bytes: [UInt8]($0)) }
        self.init(nodeID, addresses: addresses)
    }
}

extension Dep2p_Dht_Item {
    fileprivate init(_ item: MutableItem) {
        self.init()
        publicKey = Data(item.publicKey)
        if !item.salt.isEmpty { salt = Data(item.salt) }
        seq = item.seq
        value = Data(item.value)
        signature = Data(item.signature)
    }
}

extension MutableItem {
    fileprivate init(_ item: Dep2p_Dht_Item) throws(RecordRefusal) {
        try self.init(
            publicKey: [UInt8](item.publicKey), salt: [UInt8](item.salt), seq: item.seq, value: [UInt8](item.value),
            signature: [UInt8](item.signature))
    }
}
