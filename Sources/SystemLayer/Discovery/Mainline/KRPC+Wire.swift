internal import DeP2PIdentity

extension KRPCQuery {
    /// The message.
    ///
    /// - Parameters:
    ///   - sender: this node's id, which nobody keeps: the message says that it answers nothing (BEP 43).
    ///   - family: of which nodes are to be named (BEP 32).
    func encoded(transaction: [UInt8], from sender: MainlineID, naming family: IPAddress.Family) -> [UInt8] {
        var arguments = arguments
        arguments[Array("id".utf8)] = .bytes(sender.bytes)
        if !isPut { arguments[Array("want".utf8)] = .list([.text(family == .v4 ? "n4" : "n6")]) }
        let message: Bencode = [
            "a": .dictionary(arguments), "q": .text(name), "ro": .integer(1), "t": .bytes(transaction), "y": .text("q"),
        ]
        return message.encoded
    }

    private var isPut: Bool { if case .put = self { true } else { false } }

    private var name: String {
        switch self {
        case .findNode: "find_node"
        case .get: "get"
        case .put: "put"
        }
    }

    private var arguments: [[UInt8]: Bencode] {
        switch self {
        case .findNode(let target), .get(let target): return [Array("target".utf8): .bytes(target.bytes)]
        case .put(let item, let token):
            guard let value = Bencode(decoding: item.value) else { return [:] }
            var entries: [[UInt8]: Bencode] = [
                Array("k".utf8): .bytes(item.publicKey), Array("seq".utf8): .integer(item.seq),
                Array("sig".utf8): .bytes(item.signature), Array("token".utf8): .bytes(token), Array("v".utf8): value,
            ]
            if !item.salt.isEmpty { entries[Array("salt".utf8)] = .bytes(item.salt) }
            return entries
        }
    }
}

extension KRPCReply {
    /// The longest message that is looked at: an item, eight nodes of each family, and room.
    static let messageLimit = 2_048
    /// Nodes of one family that one answer may name; what is beyond is passed over. BEP 5 has eight, some send twenty.
    static let contactLimit = 16
    static let tokenLimit = 128

    /// `nil` for what is no answer and no error: questions of others are not answered.
    init?(decoding bytes: [UInt8]) {
        guard bytes.count <= Self.messageLimit, bytes.first == UInt8(ascii: "d"),
            let message = Bencode(decoding: bytes), let transaction = message["t"]?.asBytes
        else { return nil }
        self.transaction = transaction
        switch message["y"]?.asBytes {
        case Array("r".utf8):
            guard let answer = message["r"].flatMap(KRPCAnswer.init) else { return nil }
            body = .answer(answer)
        case Array("e".utf8):
            guard let code = message["e"]?.asList?.first?.asInteger else { return nil }
            body = .error(code)
        default: return nil
        }
    }
}

extension KRPCAnswer {
    fileprivate init?(_ entries: Bencode) {
        guard let id = entries["id"]?.asBytes.flatMap({ MainlineID(bytes: $0) }) else { return nil }
        self.init(id: id)
        contacts =
            Self.contacts(entries["nodes"]?.asBytes ?? [], .v4) + Self.contacts(entries["nodes6"]?.asBytes ?? [], .v6)
        token = entries["token"]?.asBytes.flatMap { (1...KRPCReply.tokenLimit).contains($0.count) ? $0 : nil }
        if let key = entries["k"]?.asBytes, let seq = entries["seq"]?.asInteger,
            let signature = entries["sig"]?.asBytes, let value = entries["v"]
        {
            item = Item(publicKey: key, seq: seq, signature: signature, value: value.encoded)
        }
    }

    private static func contacts(_ bytes: [UInt8], _ family: IPAddress.Family) -> [MainlineContact] {
        let length = MainlineContact.compactLength(family)
        guard bytes.count.isMultiple(of: length) else { return [] }
        return stride(from: 0, to: min(bytes.count, KRPCReply.contactLimit * length), by: length).compactMap {
            MainlineContact(compact: bytes[$0..<$0 + length])
        }
    }
}
