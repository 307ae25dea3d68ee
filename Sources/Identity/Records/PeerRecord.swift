/// The addresses of a node, signed by it (libp2p RFC 0003).
///
/// Domain string and payload type are those the libp2p implementations use; the text of RFC 0003 still has its draft
/// names.
package struct PeerRecord: Hashable, Sendable {
    package static let domain = "libp2p-peer-record"
    /// The multicodec `libp2p-peer-record`, 0x0301.
    package static let payloadType: [UInt8] = [0x03, 0x01]
    /// The most addresses in one record.
    package static let maximumAddresses = 64

    package let nodeID: NodeID
    /// A later record of the same node has a higher number: the clock in milliseconds here.
    package let seq: UInt64
    package let addresses: [Address]

    /// - Throws: `limitExceeded` for more than 64 addresses.
    package init(nodeID: NodeID, seq: UInt64, addresses: [Address]) throws(IdentityError) {
        try Self.checkCount(addresses.count)
        self.nodeID = nodeID
        self.seq = seq
        self.addresses = addresses
    }

    /// The envelope around this record, encoded.
    ///
    /// - Throws: `wrongSigner` when `key` is not the record's own, `limitExceeded` when it would pass 16 KiB.
    package func sealed(by key: IdentityKey) throws(IdentityError) -> [UInt8] {
        guard key.nodeID == nodeID else {
            throw IdentityError(.wrongSigner, "a peer record of \(nodeID) can't be signed by \(key.nodeID)")
        }
        return try Envelope.seal(payload: protobuf, payloadType: Self.payloadType, domain: Self.domain, key: key)
    }

    /// The record inside an encoded envelope, signed by the node it speaks of.
    ///
    /// Addresses of kinds unknown here are left out: other nodes announce transports that dep2p does not speak.
    ///
    /// - Throws: what ``Envelope`` throws, `malformedRecord`, `limitExceeded`, `wrongSigner`.
    package static func open(_ envelope: [UInt8]) throws(IdentityError) -> PeerRecord {
        let envelope = try Envelope(bytes: envelope)
        let record = try PeerRecord(protobuf: envelope.open(domain: domain, payloadType: payloadType))
        guard record.nodeID == envelope.publicKey.nodeID else {
            throw IdentityError(
                .wrongSigner, "a peer record of \(record.nodeID) is signed by \(envelope.publicKey.nodeID)")
        }
        return record
    }

    /// The record in an envelope that ``open(_:)`` has taken before and this node has kept since: its signature is not looked at
    /// again.
    ///
    /// - Throws: what ``Envelope`` throws, `malformedRecord`, `limitExceeded`.
    package static func reopened(_ kept: [UInt8]) throws(IdentityError) -> PeerRecord {
        try PeerRecord(protobuf: try Envelope(bytes: kept).payload)
    }

    var protobuf: [UInt8] {
        var bytes: [UInt8] = []
        Protobuf.append(field: 1, bytes: nodeID.bytes, to: &bytes)
        if seq != 0 { Protobuf.append(field: 2, varint: seq, to: &bytes) }
        for address in addresses {
            var info: [UInt8] = []
            Protobuf.append(field: 1, bytes: address.bytes, to: &info)
            Protobuf.append(field: 3, bytes: info, to: &bytes)
        }
        return bytes
    }

    init(protobuf bytes: [UInt8]) throws(IdentityError) {
        var node: [UInt8] = []
        var seq: UInt64 = 0
        var infos: [[UInt8]] = []
        var reader = Protobuf.Reader(bytes)
        while let field = reader.next() {
            switch field {
            case (1, .bytes(let content)): node = content
            case (2, .varint(let number)): seq = number
            case (3, .bytes(let content)):
                infos.append(content)
                try Self.checkCount(infos.count)
            case (1...3, _): throw IdentityError(.malformedRecord, "a field of a peer record has the wrong type")
            default: continue
            }
        }
        guard !reader.isMalformed else { throw IdentityError(.malformedRecord, "a peer record is malformed") }
        var addresses: [Address] = []
        for info in infos {
            // Addresses of transports that are unknown here are no fault of the record's.
            if let address = try? Address(bytes: Self.multiaddr(inInfo: info)) { addresses.append(address) }
        }
        try self.init(nodeID: NodeID(bytes: node), seq: seq, addresses: addresses)
    }

    private static func multiaddr(inInfo info: [UInt8]) throws(IdentityError) -> [UInt8] {
        var address: [UInt8] = []
        var reader = Protobuf.Reader(info)
        while let field = reader.next() {
            if case (1, .bytes(let content)) = field { address = content }
        }
        guard !reader.isMalformed else {
            throw IdentityError(.malformedRecord, "an address of a peer record is malformed")
        }
        return address
    }

    private static func checkCount(_ count: Int) throws(IdentityError) {
        guard count <= maximumAddresses else {
            throw IdentityError(
                .limitExceeded, "a peer record with more than \(maximumAddresses) addresses is over the limit")
        }
    }
}
