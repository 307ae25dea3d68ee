internal import DeP2PIdentity

/// The control part of an RPC.
struct PubSubControl: Equatable {
    struct Announcement: Equatable {
        let topic: Topic
        var ids: [PubSubMessage.ID]
    }

    struct Prune: Equatable {
        let topic: Topic
        /// In seconds; nil: the receiver's own.
        var backoff: UInt64?
        var peers: [ExchangedPeer] = []
    }

    var ihave: [Announcement] = []
    var iwant: [PubSubMessage.ID] = []
    var graft: [Topic] = []
    var prune: [Prune] = []
    var idontwant: [PubSubMessage.ID] = []
    /// Whether the message Extensions is sent, which is empty.
    var hasExtensions = false
    /// Ids that were read, those of another length too.
    private var idCount = 0
    private var entryCount = 0

    static func == (left: Self, right: Self) -> Bool {
        left.ihave == right.ihave && left.iwant == right.iwant && left.graft == right.graft
            && left.prune == right.prune && left.idontwant == right.idontwant
            && left.hasExtensions == right.hasExtensions
    }

    var isEmpty: Bool {
        ihave.isEmpty && iwant.isEmpty && graft.isEmpty && prune.isEmpty && idontwant.isEmpty && !hasExtensions
    }

    /// Adds ids to what is announced of a topic.
    mutating func announce(_ ids: [PubSubMessage.ID], in topic: Topic) {
        if let index = ihave.firstIndex(where: { $0.topic == topic }) {
            ihave[index].ids += ids
        } else {
            ihave.append(Announcement(topic: topic, ids: ids))
        }
    }

    // MARK: Reading

    mutating func read(_ frame: [UInt8], _ range: Range<Int>) throws(PubSubRPC.Violation) {
        var reader = FieldReader(frame, range)
        while let field = reader.next() {
            guard field.isBytes, (1...6).contains(field.number) else { continue }
            try PubSubRPC.check(entryCount, PubSubLimits.controlsPerRPC, "control entries")
            entryCount += 1
            switch field.number {
            case 1: try readAnnouncement(frame, field.content)
            case 2: iwant += try ids(frame, field.content, field: 1)
            case 3: if let topic = Self.topic(frame, field.content) { graft.append(topic) }
            case 4: try readPrune(frame, field.content)
            case 5: idontwant += try ids(frame, field.content, field: 1)
            default: hasExtensions = true
            }
        }
        if reader.isMalformed { throw PubSubRPC.Violation("its control part is malformed") }
    }

    private mutating func readAnnouncement(_ frame: [UInt8], _ range: Range<Int>) throws(PubSubRPC.Violation) {
        let ids = try ids(frame, range, field: 2)
        if let topic = Self.topic(frame, range), !ids.isEmpty { ihave.append(Announcement(topic: topic, ids: ids)) }
    }

    private mutating func ids(
        _ frame: [UInt8], _ range: Range<Int>, field: UInt64
    ) throws(PubSubRPC.Violation) -> [PubSubMessage.ID] {
        var (reader, ids) = (FieldReader(frame, range), [PubSubMessage.ID]())
        while let entry = reader.next() {
            guard entry.number == field, entry.isBytes else { continue }
            try PubSubRPC.check(idCount, PubSubLimits.idsPerRPC, "message ids")
            idCount += 1
            // No message here has an id of another length.
            if let id = PubSubMessage.ID(bytes: frame[entry.content]) { ids.append(id) }
        }
        if reader.isMalformed { throw PubSubRPC.Violation("its control part is malformed") }
        return ids
    }

    private static func topic(_ frame: [UInt8], _ range: Range<Int>) -> Topic? {
        var (reader, topic) = (FieldReader(frame, range), Topic?.none)
        while let field = reader.next() {
            if field.number == 1, field.isBytes, field.content.count <= Topic.lengthLimit {
                topic = Topic(bytes: Array(frame[field.content]))
            }
        }
        return topic
    }

    private mutating func readPrune(_ frame: [UInt8], _ range: Range<Int>) throws(PubSubRPC.Violation) {
        guard let topic = Self.topic(frame, range) else { return }
        var (reader, entry) = (FieldReader(frame, range), Prune(topic: topic))
        while let field = reader.next() {
            if field.number == 3, !field.isBytes { entry.backoff = field.value }
            // Beyond the bound they are passed over: no peer is obliged to know it.
            if field.number == 2, field.isBytes, entry.peers.count < PubSubLimits.exchangedPeers,
                let peer = Self.exchangedPeer(frame, field.content)
            {
                entry.peers.append(peer)
            }
        }
        if reader.isMalformed { throw PubSubRPC.Violation("its control part is malformed") }
        prune.append(entry)
    }

    private static func exchangedPeer(_ frame: [UInt8], _ range: Range<Int>) -> ExchangedPeer? {
        var (reader, nodeID, record) = (FieldReader(frame, range), [UInt8](), [UInt8]())
        while let field = reader.next() {
            if field.number == 1, field.isBytes, field.content.count <= NodeID.maximumLength {
                nodeID = Array(frame[field.content])
            }
            if field.number == 2, field.isBytes, field.content.count <= recordLimit {
                record = Array(frame[field.content])
            }
        }
        return nodeID.isEmpty || reader.isMalformed ? nil : ExchangedPeer(nodeID: nodeID, record: record)
    }

    /// Bytes of a signed record that is looked at.
    private static let recordLimit = 8 * 1024

    // MARK: Writing

    var sentIDs: Int { ihave.reduce(0) { $0 + $1.ids.count } + iwant.count + idontwant.count }

    /// Takes out all ids.
    ///
    /// - Returns: controls of at most `limit` of them each, in their order.
    mutating func splitIDs(atMost limit: Int) -> [PubSubControl] {
        var parts: [PubSubControl] = []
        func cut(_ ids: [PubSubMessage.ID], _ put: (inout PubSubControl, [PubSubMessage.ID]) -> Void) {
            for start in stride(from: 0, to: ids.count, by: limit) {
                var part = PubSubControl()
                put(&part, Array(ids[start..<min(start + limit, ids.count)]))
                parts.append(part)
            }
        }
        cut(idontwant) { $0.idontwant = $1 }
        cut(iwant) { $0.iwant = $1 }
        for entry in ihave { cut(entry.ids) { $0.announce($1, in: entry.topic) } }
        (idontwant, iwant, ihave) = ([], [], [])
        return parts
    }

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        for entry in ihave {
            var inner: [UInt8] = []
            ProtobufBytes.append(1, entry.topic.bytes, to: &inner)
            Self.append(2, entry.ids, to: &inner)
            ProtobufBytes.append(1, inner, to: &bytes)
        }
        Self.append(2, listing: iwant, to: &bytes)
        for topic in graft {
            var inner: [UInt8] = []
            ProtobufBytes.append(1, topic.bytes, to: &inner)
            ProtobufBytes.append(3, inner, to: &bytes)
        }
        for entry in prune { ProtobufBytes.append(4, Self.encoded(entry), to: &bytes) }
        Self.append(5, listing: idontwant, to: &bytes)
        if hasExtensions { ProtobufBytes.append(6, [], to: &bytes) }
        return bytes
    }

    private static func encoded(_ entry: Prune) -> [UInt8] {
        var bytes: [UInt8] = []
        ProtobufBytes.append(1, entry.topic.bytes, to: &bytes)
        for peer in entry.peers {
            var inner: [UInt8] = []
            ProtobufBytes.append(1, peer.nodeID, to: &inner)
            if !peer.record.isEmpty { ProtobufBytes.append(2, peer.record, to: &inner) }
            ProtobufBytes.append(2, inner, to: &bytes)
        }
        if let backoff = entry.backoff, backoff < 1 << 63 {
            bytes.append(3 << 3)
            ProtobufBytes.append(varint: backoff, to: &bytes)
        }
        return bytes
    }

    private static func append(_ field: UInt8, listing ids: [PubSubMessage.ID], to bytes: inout [UInt8]) {
        guard !ids.isEmpty else { return }
        ProtobufBytes.head(field, length: ids.count * ProtobufBytes.rootLength, in: &bytes)
        append(1, ids, to: &bytes)
    }

    private static func append(_ field: UInt8, _ ids: [PubSubMessage.ID], to bytes: inout [UInt8]) {
        bytes.reserveCapacity(bytes.count + ids.count * ProtobufBytes.rootLength)
        for id in ids { ProtobufBytes.append(field, id, to: &bytes) }
    }
}
