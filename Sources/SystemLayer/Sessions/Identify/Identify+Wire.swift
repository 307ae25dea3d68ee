internal import DeP2PIdentity
internal import DeP2PWire
internal import FoundationEssentials
internal import SwiftProtobuf

extension PeerInformation {
    func encoded(signedRecord: [UInt8]) throws -> [UInt8] {
        var message = Dep2p_Identify_Identify()
        message.publicKey = Data(publicKey.protobuf)
        message.listenAddrs = listenAddresses.map { Data($0.bytes) }
        message.protocols = protocols
        if let observedAddress { message.observedAddr = Data(observedAddress.bytes) }
        message.protocolVersion = protocolVersion
        message.agentVersion = agentVersion
        message.signedPeerRecord = Data(signedRecord)
        return try message.serializedBytes()
    }

    /// - Throws: ``SessionError`` `violation` for a malformed message, or a key or record of another node.
    init(decoding bytes: [UInt8], of nodeID: NodeID) throws {
        // The decoder's own words say no more than the error does.
        guard let message = try? Dep2p_Identify_Identify(serializedBytes: bytes) else {
            throw SessionError(.violation, detail: "the identify message is malformed")
        }
        // The decoder's own words say no more than the error does.
        guard let key = message.hasPublicKey ? try? PublicKey(protobuf: [UInt8](message.publicKey)) : nodeID.publicKey,
            key.nodeID == nodeID
        else { throw SessionError(.violation, detail: "the identify message is of another node") }
        publicKey = key
        // Addresses of transports that are unknown here are no fault of the peer's.
        listenAddresses = message.listenAddrs.prefix(Self.entryLimit).compactMap { try? Address(bytes: [UInt8]($0)) }
        protocols = message.protocols.prefix(Self.entryLimit).map { $0.clipped(toBytes: Self.textLimit) }
        // So is the one that the peer sees this node at.
        observedAddress = message.hasObservedAddr ? try? Address(bytes: [UInt8](message.observedAddr)) : nil
        protocolVersion = message.protocolVersion.clipped(toBytes: Self.textLimit)
        agentVersion = message.agentVersion.clipped(toBytes: Self.textLimit)
        record = try Self.record(in: message, of: nodeID)
        signedRecord = record == nil ? [] : [UInt8](message.signedPeerRecord)
    }

    private static func record(in message: Dep2p_Identify_Identify, of nodeID: NodeID) throws -> PeerRecord? {
        // A record that says nothing that holds is none.
        guard message.hasSignedPeerRecord, let record = try? PeerRecord.open([UInt8](message.signedPeerRecord)) else {
            return nil
        }
        guard record.nodeID == nodeID else {
            throw SessionError(.violation, detail: "the identify message holds the record of another node")
        }
        return record
    }
}
