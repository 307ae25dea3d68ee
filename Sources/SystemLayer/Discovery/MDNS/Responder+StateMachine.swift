internal import DeP2PIdentity
internal import DeP2PReactor

/// Tells of this node on one link, and answers who asks there: pure.
///
/// States: silent (nothing to tell) ⇄ telling. While telling, the node is announced twice (RFC 6762 section 8.3); a question
/// is answered to the group after 20 to 120 ms, so that many who answer don't do so at once (section 6), once a second at
/// most; an asker that is no multicast one alone (section 6.7). When the state is left, a goodbye is said (section 10.1).
struct Responder {
    /// Between the announcements.
    static let announcementInterval = Duration.seconds(1)
    static let announcements = 2
    /// How long an answer waits, and one to an asker that has more known answers to tell, in milliseconds.
    static let delay: ClosedRange<UInt64> = 20...120
    static let delayOfTruncated: ClosedRange<UInt64> = 400...500
    /// Between two messages to the group (RFC 6762 section 6).
    static let multicastInterval = Duration.seconds(1)
    /// Answers to single askers that wait, and how many are given in a second, and at once: whoever forges the address of
    /// another on this link is worth no more.
    static let waitingLimit = 32
    static let unicastRate = (perSecond: 64, burst: 128)

    enum Output: Equatable {
        case group(DNSMessage)
        case asker(DNSMessage, SocketAddress)
    }

    private struct Answer {
        let due: NetworkInstant
        let asker: SocketAddress
        let message: DNSMessage
    }

    private(set) var announcement: PeerAnnouncement?
    private var announcementsDue: [NetworkInstant] = []
    private var answer: (due: NetworkInstant, kinds: PeerAnnouncement.Kinds)?
    private var lastMulticast: NetworkInstant?
    private var waiting: [Answer] = []
    private var unicasts = TokenBucket(rate: unicastRate.perSecond, burst: unicastRate.burst)

    /// What is told from now on; `nil` for nothing.
    mutating func tell(_ new: PeerAnnouncement?, now: NetworkInstant) -> [Output] {
        guard new != announcement else { return [] }
        var outputs: [Output] = []
        if let announcement {
            outputs.append(.group(DNSMessage(answering: announcement.records(.announced, lifetime: 0))))
        }
        announcement = new
        (answer, waiting, announcementsDue) = (nil, [], [])
        guard new != nil else { return outputs }
        announcementsDue = (0..<Self.announcements).map { now.advanced(by: Self.announcementInterval * $0) }
        return outputs + timerFired(now: now)
    }

    // MARK: Questions

    /// - Parameters:
    ///   - isMulticastAsker: whether it asks from the port of Multicast DNS.
    ///   - random: between 0 and anything.
    mutating func asked(
        _ query: DNSMessage, by asker: SocketAddress, isMulticastAsker: Bool, random: UInt64, now: NetworkInstant
    ) {
        guard let announcement else { return }
        let isKnown = announcement.isKnown(in: query.answers)
        if query.questions.isEmpty {
            // The rest of the known answers to a question before (RFC 6762 section 7.2).
            if isKnown { answer?.kinds.remove(.pointer) }
            return
        }
        var kinds: PeerAnnouncement.Kinds = []
        for question in query.questions { kinds.formUnion(announcement.kinds(asked: question)) }
        if isKnown { kinds.remove(.pointer) }
        guard !kinds.isEmpty else { return }
        let range = query.isTruncated ? Self.delayOfTruncated : Self.delay
        let wait = Duration.milliseconds(range.lowerBound + random % UInt64(range.count))
        let due = now.advanced(by: wait)
        guard isMulticastAsker else {
            return answerAlone(query, kinds, announcement, asker, due: due, isLegacy: true, now: now)
        }
        let earliest = lastMulticast?.advanced(by: Self.multicastInterval) ?? now
        if earliest > due, query.questions.contains(where: \.wantsUnicast) {
            return answerAlone(query, kinds, announcement, asker, due: due, isLegacy: false, now: now)
        }
        let at = max(due, earliest)
        answer = (min(answer?.due ?? at, at), (answer?.kinds ?? []).union(kinds))
    }

    private mutating func answerAlone(
        _ query: DNSMessage, _ kinds: PeerAnnouncement.Kinds, _ announcement: PeerAnnouncement, _ asker: SocketAddress,
        due: NetworkInstant, isLegacy: Bool, now: NetworkInstant
    ) {
        guard waiting.count < Self.waitingLimit, unicasts.takeNow(now: now) else { return }
        var message = announcement.message(
            kinds, lifetime: isLegacy ? PeerAnnouncement.lifetimeAlone : PeerAnnouncement.lifetime)
        if isLegacy {
            message.id = query.id
            message.questions = query.questions.filter { !announcement.kinds(asked: $0).isEmpty }
            message.questions = message.questions.map { DNSMessage.Question($0.name, $0.type) }
        }
        waiting.append(Answer(due: due, asker: asker, message: message))
    }

    // MARK: Time

    var wake: NetworkInstant? {
        ([announcementsDue.first, answer?.due] + waiting.map(\.due)).compactMap(\.self).min()
    }

    mutating func timerFired(now: NetworkInstant) -> [Output] {
        guard let announcement else { return [] }
        var outputs: [Output] = []
        if let due = announcementsDue.first, due <= now {
            announcementsDue.removeFirst()
            outputs.append(.group(announcement.message(.announced)))
            // It answers what was asked meanwhile, but for the question which services there are.
            if let asked = answer?.kinds { answer?.kinds = asked.intersection(.services) }
            lastMulticast = now
        }
        if let answer, answer.due <= now {
            self.answer = nil
            if !answer.kinds.isEmpty {
                outputs.append(.group(announcement.message(answer.kinds)))
                lastMulticast = now
            }
        }
        outputs += waiting.filter { $0.due <= now }.map { .asker($0.message, $0.asker) }
        waiting.removeAll { $0.due <= now }
        return outputs
    }
}
