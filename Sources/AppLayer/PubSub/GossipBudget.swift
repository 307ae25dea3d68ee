internal import DeP2PReactor

/// What one peer may still say and ask for in this heartbeat, and what it got on request: pure.
struct GossipBudget {
    /// Messages whose transmissions on request are counted; beyond, nothing is given before the next turn.
    static let countedMessages = 8_192
    private static let turnTime = Duration.seconds(60)

    private var announcements = 0
    private var announcedIDs = 0
    private var askedIDs = 0
    private var askedBytes = 0
    private var declinedIDs = 0
    private var sent: [PubSubMessage.ID: Int] = [:]
    private var turn: NetworkInstant?

    mutating func heartbeat(now: NetworkInstant) {
        (announcements, announcedIDs, askedIDs, askedBytes, declinedIDs) = (0, 0, 0, 0, 0)
        guard let turn, now < turn else {
            sent = [:]
            turn = now.advanced(by: Self.turnTime)
            return
        }
    }

    /// How many of an IHAVE's ids are looked at.
    mutating func takeAnnouncement(of count: Int) -> Int {
        guard announcements < PubSubLimits.ihavesPerHeartbeat else { return 0 }
        announcements += 1
        return Self.take(count, from: &announcedIDs, limit: PubSubLimits.ihaveIDsPerHeartbeat)
    }

    /// How many ids of an IWANT are looked at.
    mutating func takeRequest(of count: Int) -> Int {
        Self.take(count, from: &askedIDs, limit: PubSubLimits.iwantIDsPerHeartbeat)
    }

    /// How many ids of an IDONTWANT are looked at.
    mutating func takeRefusal(of count: Int) -> Int {
        Self.take(count, from: &declinedIDs, limit: PubSubLimits.idontwantIDsPerHeartbeat)
    }

    /// Whether the peer gets that message on request.
    mutating func takeTransmission(of message: PubSubMessage) -> Bool {
        let count = sent[message.id] ?? 0
        guard count < PubSubLimits.retransmissions, askedBytes < PubSubLimits.iwantBytesPerHeartbeat,
            count > 0 || sent.count < Self.countedMessages
        else { return false }
        sent[message.id] = count + 1
        askedBytes += message.encoded.count
        return true
    }

    private static func take(_ count: Int, from used: inout Int, limit: Int) -> Int {
        let taken = min(count, limit - used)
        used += taken
        return taken
    }
}
