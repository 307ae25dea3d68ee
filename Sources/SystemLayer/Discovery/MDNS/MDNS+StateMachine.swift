package import DeP2PIdentity
package import DeP2PReactor

/// Multicast DNS (RFC 6762) as libp2p uses it: tells of this node on every link, hears of others, and asks for them while
/// somebody looks for one: pure.
///
/// Questions are one-shot ones (section 5.1): they leave from a port of their own and are answered there, in no more than
/// 120 ms, and processes of one machine are no trouble to each other, as they are who share the port 5353 (section 15.1).
/// With them goes no list of known answers: it would let whoever tells of a node first keep it from answering.
///
/// Calling order: ``setLinks(_:now:)`` and ``tell(_:now:)`` as they change, ``received(_:on:from:isAnswer:now:)`` for each
/// message, ``search(_:for:now:)`` until `ended` or ``endSearch(_:)``; ``timerFired(now:)`` at ``wake``.
package struct MDNSMachine: TimedMachine {
    /// The port of Multicast DNS: whoever answers from another one is not listened to (section 6).
    package static let port: UInt16 = 5_353
    /// Times that are asked while somebody looks for a node, and the time between two (section 5.2).
    package static let questions = 2
    package static let questionInterval = Duration.seconds(1)
    /// How long a node is looked for.
    package static let searchTime = Duration.seconds(2)
    /// Whoever wants to hear of members wants so until he says otherwise, and asks again: what was told may have got lost.
    package static let membersInterval = Duration.seconds(60)
    package static let searchLimit = 64
    /// Addresses that one host's words bring to one search.
    package static let addressesPerHost = 4
    /// Names of which somebody told without their texts: these are asked for after a moment, as often as there is room.
    static let nameLimit = 32
    static let namesPause = Duration.milliseconds(20)

    package enum Action: Equatable {
        /// To everybody on the link.
        case group(DNSMessage, Link.ID)
        case asker(DNSMessage, SocketAddress, Link.ID)
        /// Asks everybody on every link.
        case ask(DNSMessage)
        case found(search: Int, [Address])
        /// The search is over.
        case ended(search: Int, heard: Int)
    }

    private struct Search {
        /// `nil`: every member of the realm.
        let nodeID: NodeID?
        let startedAt: NetworkInstant
        var asked = 0
        var askedAt: NetworkInstant
        var found: Set<Address> = []
        var perHost: [IPAddress: Int] = [:]

        var until: NetworkInstant? { nodeID == nil ? nil : startedAt.advanced(by: searchTime) }
        /// When it wants to ask next.
        var nextQuestion: NetworkInstant? {
            if asked < questions { return startedAt.advanced(by: questionInterval * asked) }
            return nodeID == nil ? askedAt.advanced(by: membersInterval) : nil
        }
    }

    /// The key of ``MemberTag``, in a realm.
    package var realm: AuthenticationKey?
    private var links: [Link.ID: Link] = [:]
    /// In the order in which links came.
    private var order: [Link.ID] = []
    private var responders: [Link.ID: Responder] = [:]
    private var announcements: [Link.ID: PeerAnnouncement] = [:]
    private var searches: [Int: Search] = [:]
    private var heard = HeardPeers()
    private var lastQuestion: NetworkInstant?
    /// Names whose texts are to be asked for, and those that were, since somebody looks.
    private var names: (due: NetworkInstant, waiting: [DNSName])?
    private var askedNames: Set<DNSName> = []
    private var questionID: UInt16 = 0
    private var random: any RandomNumberGenerator & Sendable

    package init(random: any RandomNumberGenerator & Sendable) { self.random = random }

    package var isSearching: Bool { !searches.isEmpty }

    // MARK: This node

    package mutating func setLinks(_ new: [Link], now: NetworkInstant) -> [Action] {
        let kept = Set(new.map(\.id))
        order = new.map(\.id)
        links = Dictionary(new.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        responders = responders.filter { kept.contains($0.key) }
        heard.keep(kept)
        for id in order where responders[id] == nil { responders[id] = Responder() }
        return tell(announcements, now: now)
    }

    /// What is told of this node on each link; nothing on others.
    package mutating func tell(_ new: [Link.ID: PeerAnnouncement], now: NetworkInstant) -> [Action] {
        announcements = new
        return order.flatMap { id in actions(responders[id]?.tell(new[id], now: now) ?? [], on: id) }
    }

    private func actions(_ outputs: [Responder.Output], on link: Link.ID) -> [Action] {
        outputs.map { output in
            switch output {
            case .group(let message): .group(message, link)
            case .asker(let message, let asker): .asker(message, asker, link)
            }
        }
    }

    // MARK: Messages

    /// - Parameter isAnswer: whether it came to the port that questions leave from.
    package mutating func received(
        _ message: DNSMessage, on id: Link.ID, from sender: SocketAddress, isAnswer: Bool, now: NetworkInstant
    ) -> [Action] {
        guard let link = links[id], link.hasHost(sender.ip) else { return [] }
        guard message.isResponse else {
            if !isAnswer {
                responders[id]?.asked(
                    message, by: sender, isMulticastAsker: sender.port == Self.port, random: random.next(), now: now)
            }
            return []
        }
        guard sender.port == Self.port, !isAnswer || message.id == questionID else { return [] }
        return hear(message, on: link, from: sender.ip, now: now)
    }

    private mutating func hear(
        _ message: DNSMessage, on link: Link, from host: IPAddress, now: NetworkInstant
    ) -> [Action] {
        var named: [DNSName] = []
        var actions: [Action] = []
        var texts: Set<DNSName> = []
        for record in message.records {
            switch record.data {
            case .text(let strings) where record.name.parent == PeerAnnouncement.service:
                guard let name = record.name.labels.first else { continue }
                texts.insert(record.name)
                let peer = HeardPeer(
                    peerName: name, text: PeerText(reading: strings), link: link.id, host: host)
                heard.hear(peer, lifetime: record.lifetime, now: now)
                if record.lifetime > 0 { actions += searches.keys.sorted().flatMap { compare(peer, with: $0) } }
            case .pointer(let name)
            where record.name == PeerAnnouncement.service && name.parent == record.name && record.lifetime > 0:
                named.append(name)
            default: continue
            }
        }
        for name in named where !texts.contains(name) { wantText(of: name, now: now) }
        return actions
    }

    /// Somebody tells of a name alone: what else there is to it has to be asked for.
    private mutating func wantText(of name: DNSName, now: NetworkInstant) {
        guard isSearching, askedNames.count < Self.nameLimit, askedNames.insert(name).inserted else { return }
        let waiting = names ?? (now.advanced(by: Self.namesPause), [])
        names = (waiting.due, waiting.waiting + [name])
    }

    // MARK: Searches

    /// Looks for a node, also among those that were heard before.
    ///
    /// - Parameter nodeID: `nil` for members of the realm, whoever they are: until ``endSearch(_:)``, and each as often as it
    ///   tells of itself.
    package mutating func search(_ id: Int, for nodeID: NodeID?, now: NetworkInstant) -> [Action] {
        guard searches.count < Self.searchLimit else { return [.ended(search: id, heard: 0)] }
        if searches.isEmpty { questionID = UInt16(truncatingIfNeeded: random.next()) }
        searches[id] = Search(nodeID: nodeID, startedAt: now, askedAt: now)
        return heard.all(now: now).flatMap { compare($0, with: id) } + timerFired(now: now)
    }

    package mutating func endSearch(_ id: Int) {
        searches[id] = nil
        if searches.isEmpty { (names, askedNames) = (nil, []) }
    }

    private mutating func compare(_ peer: HeardPeer, with id: Int) -> [Action] {
        guard var search = searches[id], let link = links[peer.link] else { return [] }
        guard let nodeID = search.nodeID else { return compare(peer, on: link, withAnyFor: id) }
        let own = peer.text.addresses(of: nodeID, peerName: peer.peerName, realm: realm).compactMap(link.dialable)
        // Where it speaks from is the likeliest place.
        let first = own.filter { $0.host == .ip(peer.host) }
        var new: [Address] = []
        for address in first + own.filter({ !first.contains($0) })
        where search.perHost[peer.host, default: 0] < Self.addressesPerHost {
            guard search.found.insert(address).inserted else { continue }
            search.perHost[peer.host, default: 0] += 1
            new.append(address)
        }
        searches[id] = search
        return new.isEmpty ? [] : [.found(search: id, new)]
    }

    private func compare(_ peer: HeardPeer, on link: Link, withAnyFor id: Int) -> [Action] {
        // What this node tells it hears itself.
        guard !announcements.values.contains(where: { $0.peerName == peer.peerName }) else { return [] }
        let own = peer.text.memberAddresses(peerName: peer.peerName, realm: realm).compactMap(link.dialable)
        return own.isEmpty ? [] : [.found(search: id, Array(own.prefix(Self.addressesPerHost)))]
    }

    // MARK: Time

    /// When the next question is due, of all searches'.
    private var nextQuestion: NetworkInstant? {
        guard let due = searches.values.compactMap(\.nextQuestion).min() else { return nil }
        return max(due, lastQuestion?.advanced(by: Self.questionInterval) ?? due)
    }

    package var wake: NetworkInstant? {
        (responders.values.map(\.wake) + searches.values.map(\.until) + [nextQuestion, names?.due])
            .compactMap(\.self).min()
    }

    package mutating func timerFired(now: NetworkInstant) -> [Action] {
        var result = order.flatMap { id in actions(responders[id]?.timerFired(now: now) ?? [], on: id) }
        if let due = nextQuestion, due <= now {
            lastQuestion = now
            for id in searches.keys {
                searches[id]?.asked += 1
                searches[id]?.askedAt = now
            }
            askedNames = []
            result.append(ask([DNSMessage.Question(PeerAnnouncement.service, .pointer, wantsUnicast: true)]))
        }
        if let names, names.due <= now {
            self.names = nil
            result.append(ask(names.waiting.map { DNSMessage.Question($0, .text, wantsUnicast: true) }))
        }
        for id in searches.keys.sorted() {
            guard let until = searches[id]?.until, until <= now else { continue }
            result.append(.ended(search: id, heard: Set(heard.all(now: now).map(\.peerName)).count))
            endSearch(id)
        }
        return result
    }

    private func ask(_ questions: [DNSMessage.Question]) -> Action {
        .ask(DNSMessage(asking: questions, id: questionID))
    }
}
