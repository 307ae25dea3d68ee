internal import DeP2PApp
internal import DeP2PReactor

// What attackers do beside what the product's router does.
extension TopicWorld {
    /// In the middle of the messages.
    private var attackTime: Duration { settings.warmUp + .seconds(Double(settings.messages) / settings.rate / 2) }

    func prepareAttack() {
        switch settings.attack {
        case .flash, .covertFlash:
            schedule(after: attackTime) { [self] in
                isAttacking = true
                if settings.attack == .flash { for node in nodes where node.isAttacker { join(node) } }
            }
        case .eclipse:
            let attackers = nodes.filter(\.isAttacker)
            let each = min(attackers.count / Self.victims, 100)
            for (place, victim) in nodes.filter({ $0.conduct == .victim }).enumerated() {
                for attacker in attackers.dropFirst(place * each).prefix(each) { connect(attacker, victim) }
            }
        case .graftSpam, .requestFlood, .forgery: schedule(after: .seconds(1)) { [self] in spam() }
        default: break
        }
    }

    /// Whether a node passes a message on that its router would.
    func passesOn(_ message: PubSubMessage, _ node: TopicWorldNode) -> Bool {
        guard node.isAttacker, isAttacking else { return true }
        return settings.attack == .censor && !isCensored(message)
    }

    private func isCensored(_ message: PubSubMessage) -> Bool {
        nodes.prefix(settings.publishers / 4).contains { $0.nodeID == message.author }
    }

    /// Whether a node's router sees messages: one that sees none announces none.
    func takes(_ payloads: Int, _ node: TopicWorldNode) -> Bool {
        guard node.isAttacker, isAttacking, payloads > 0 else { return true }
        return [.withhold, .censor, .requestFlood].contains(settings.attack)
    }

    // MARK: Spam

    /// What each attacker tells each of its peers, every second.
    private func spam() {
        let rpc = spamRPC()
        guard let input = PubSubInput.read(rpc.bytes, from: nodes[0].nodeID) else { return }
        let packet = Packet(input, payloads: rpc.payloads, bytes: rpc.bytes.count)
        for node in nodes where node.isAttacker {
            for key in node.keysInOrder { send(packet, from: node, over: key) }
        }
        schedule(after: .seconds(1)) { [self] in spam() }
    }

    private func spamRPC() -> (bytes: [UInt8], payloads: Int) {
        switch settings.attack {
        case .graftSpam:
            let graft = field(3, field(1, topic.bytes))
            return (field(3, [[UInt8]](repeating: graft, count: 10).flatMap { $0 }), 0)
        case .requestFlood:
            let ids = tally.recentIDs(100).flatMap { field(1, $0) }
            return (field(3, field(2, ids)), 0)
        default:
            guard let key = nodes[0].key else { return ([], 0) }
            var bytes: [UInt8] = []
            for _ in 0..<5 {
                let message = PubSubMessage(random.bytes(settings.size), to: topic, sequence: random.next(), by: key)
                forged.insert(message.id)
                // Behind its length.
                let frame = message.frame
                bytes += frame.drop(while: { $0 >= 0x80 }).dropFirst()
            }
            return (bytes, 0)
        }
    }

    private func field(_ number: UInt8, _ content: [UInt8]) -> [UInt8] {
        var length: [UInt8] = []
        var rest = content.count
        while rest >= 0x80 {
            length.append(UInt8(rest & 0x7f | 0x80))
            rest >>= 7
        }
        return [number << 3 | 2] + length + [UInt8(rest)] + content
    }
}
