internal import DeP2PIdentity
internal import DeP2PReactor

/// The parameters of the score (GossipSub v1.1, "Overview of New Parameters"). P3 is off, and P3b with it: who is silent in
/// a topic where nothing is said has done nothing wrong.
package struct ScoreParameters: Sendable {
    package var topicWeight = 1.0
    package var topicCap = 100.0
    // P1
    package var timeInMeshWeight = 0.01
    package var timeInMeshQuantum = Duration.seconds(1)
    package var timeInMeshCap = 300.0
    // P2
    package var firstDeliveriesWeight = 1.0
    package var firstDeliveriesDecay = 0.99
    package var firstDeliveriesCap = 50.0
    // P3, P3b
    package var meshDeliveriesWeight = 0.0
    package var meshFailureWeight = 0.0
    // P4
    package var invalidWeight = -10.0
    package var invalidDecay = 0.99
    // P5
    package var applicationWeight = 1.0
    // P6: an office shares one address.
    package var colocationWeight = -0.5
    package var colocationThreshold = 10
    /// Alone it takes a peer out of meshes, never more: an address says little among holders of one key.
    package var colocationFloor = -5.0
    // P7
    package var behaviourWeight = -1.0
    package var behaviourThreshold = 6.0
    package var behaviourDecay = 0.98
    package var decayToZero = 0.01
    /// How long the score of a peer that has gone is kept.
    package var retainScore = Duration.seconds(600)
    // Thresholds
    package var gossipThreshold = -10.0
    package var publishThreshold = -50.0
    package var graylistThreshold = -80.0
    package var acceptExchangeThreshold = 0.0
    package var opportunisticGraftThreshold = 1.0

    package init() {}

    func decayed(_ value: Double, by factor: Double) -> Double {
        let value = value * factor
        return value < decayToZero ? 0 : value
    }
}

/// What each peer has done, as one number: pure. Kept by NodeID, beyond the end of a connection.
struct PeerScores {
    /// Peers that are gone, and remembered.
    static let remembered = 1_024

    private struct TopicRecord {
        var graftedAt: NetworkInstant?
        var timeInMesh = 0.0
        var firstDeliveries = 0.0
        var invalid = 0.0

        var isNothing: Bool { graftedAt == nil && firstDeliveries == 0 && invalid == 0 }

        mutating func decay(_ parameters: ScoreParameters, now: NetworkInstant) {
            if let start = graftedAt {
                let quanta = now.duration(since: start) / parameters.timeInMeshQuantum
                timeInMesh = min(quanta, parameters.timeInMeshCap)
            }
            firstDeliveries = parameters.decayed(firstDeliveries, by: parameters.firstDeliveriesDecay)
            invalid = parameters.decayed(invalid, by: parameters.invalidDecay)
        }
    }

    private struct Entry {
        var topics: [Topic: TopicRecord] = [:]
        var behaviour = 0.0
        var application = 0.0
        /// Connections that count.
        var connections = 0
        var subject: Subject?
        var goneAt: NetworkInstant?

        mutating func decay(_ parameters: ScoreParameters, now: NetworkInstant) {
            var (index, isAnyNothing) = (topics.startIndex, false)
            while index != topics.endIndex {
                topics.values[index].decay(parameters, now: now)
                if topics.values[index].isNothing { isAnyNothing = true }
                topics.formIndex(after: &index)
            }
            if isAnyNothing { topics = topics.filter { !$0.value.isNothing } }
            behaviour = parameters.decayed(behaviour, by: parameters.behaviourDecay)
        }
    }

    /// Topics of one peer that are counted: of those that this node is subscribed to.
    private static let topicLimit = PubSubLimits.subscriptions

    let parameters: ScoreParameters
    private var entries: [NodeID: Entry] = [:]
    /// What comes of them, for those where that is not nothing: asked with each message.
    private var sums: [NodeID: Double] = [:]
    private var subjects: [Subject: Int] = [:]

    init(_ parameters: ScoreParameters) { self.parameters = parameters }

    var count: Int { entries.count }

    func score(_ peer: NodeID) -> Double { sums[peer] ?? 0 }

    // MARK: Events

    /// - Parameter subject: whom its address counts for; `nil` where that says nothing, as on this machine itself.
    mutating func connected(_ peer: NodeID, _ subject: Subject?, now: NetworkInstant) {
        var entry = entries[peer] ?? Entry()
        if entry.connections == 0 {
            entry.subject = subject
            if let subject { subjects.increment(subject) }
        }
        entry.connections += 1
        entry.goneAt = nil
        entries[peer] = entry
        refresh(peer)
    }

    /// What was good about it is forgotten, what was bad stays for a while.
    mutating func disconnected(_ peer: NodeID, now: NetworkInstant) {
        guard var entry = entries[peer] else { return }
        entry.connections -= 1
        guard entry.connections <= 0 else {
            entries[peer] = entry
            return
        }
        if let subject = entry.subject { subjects.decrement(subject) }
        (entry.subject, entry.goneAt) = (nil, now)
        for topic in entry.topics.keys {
            entry.topics[topic]?.graftedAt = nil
            entry.topics[topic]?.timeInMesh = 0
            entry.topics[topic]?.firstDeliveries = 0
        }
        let score = score(of: entry)
        keep(score < 0 ? score : 0, of: peer)
        entries[peer] = score < 0 ? entry : nil
        makeRoom()
    }

    mutating func grafted(_ peer: NodeID, _ topic: Topic, now: NetworkInstant) {
        change(peer, topic) { $0.graftedAt = now }
    }

    mutating func pruned(_ peer: NodeID, _ topic: Topic) {
        change(peer, topic) { record in
            record.graftedAt = nil
            record.timeInMesh = 0
        }
    }

    /// It was the first to bring a message that is what it should be.
    mutating func delivered(_ peer: NodeID, _ topic: Topic) {
        let cap = parameters.firstDeliveriesCap
        entries[peer]?.topics[topic, default: TopicRecord()].firstDeliveries += 1
        // Looked at with each heartbeat: a message costs no sum.
        if let count = entries[peer]?.topics[topic]?.firstDeliveries, count > cap {
            entries[peer]?.topics[topic]?.firstDeliveries = cap
        }
    }

    /// It sent a message that nobody may pass on.
    mutating func invalid(_ peer: NodeID, _ topic: Topic) {
        change(peer, topic) { $0.invalid += 1 }
        refresh(peer)
    }

    /// It behaved as no peer should (P7).
    mutating func misbehaved(_ peer: NodeID, by amount: Double = 1) {
        entries[peer]?.behaviour += amount
        refresh(peer)
    }

    func behaviour(of peer: NodeID) -> Double { entries[peer]?.behaviour ?? 0 }

    mutating func setApplication(_ score: Double, of peer: NodeID) {
        entries[peer]?.application = score
        refresh(peer)
    }

    mutating func heartbeat(now: NetworkInstant) {
        var forgotten: [NodeID] = []
        // Where they lie, without a copy of all.
        var index = entries.startIndex
        while index != entries.endIndex {
            let peer = entries.keys[index]
            if let gone = entries.values[index].goneAt, now.duration(since: gone) > parameters.retainScore {
                forgotten.append(peer)
            } else {
                entries.values[index].decay(parameters, now: now)
                keep(score(of: entries.values[index]), of: peer)
            }
            entries.formIndex(after: &index)
        }
        for peer in forgotten { (entries[peer], sums[peer]) = (nil, nil) }
    }

    // MARK: The sum

    private mutating func change(_ peer: NodeID, _ topic: Topic, _ change: (inout TopicRecord) -> Void) {
        guard var entry = entries[peer], entry.topics[topic] != nil || entry.topics.count < Self.topicLimit
        else { return }
        change(&entry.topics[topic, default: TopicRecord()])
        entries[peer] = entry
    }

    private mutating func refresh(_ peer: NodeID) {
        guard let entry = entries[peer] else { return }
        keep(score(of: entry), of: peer)
    }

    private mutating func keep(_ score: Double, of peer: NodeID) { sums[peer] = score == 0 ? nil : score }

    private func score(of entry: Entry) -> Double {
        var topics = 0.0
        // Summed up in an order of its own: a sum's last bits would differ from process to process.
        if entry.topics.count == 1, let record = entry.topics.values.first {
            topics = parameters.topicWeight * score(of: record)
        } else {
            for record in entry.topics.values.map(score).sorted() { topics += parameters.topicWeight * record }
        }
        var score = min(topics, parameters.topicCap)
        score += parameters.applicationWeight * entry.application
        let surplus = Double((entry.subject.map { subjects[$0] ?? 0 } ?? 0) - parameters.colocationThreshold)
        if surplus > 0 {
            score += max(parameters.colocationWeight * surplus * surplus, parameters.colocationFloor)
        }
        let excess = entry.behaviour - parameters.behaviourThreshold
        if excess > 0 { score += parameters.behaviourWeight * excess * excess }
        return score
    }

    private func score(of record: TopicRecord) -> Double {
        parameters.timeInMeshWeight * record.timeInMesh
            + parameters.firstDeliveriesWeight * record.firstDeliveries
            + parameters.invalidWeight * record.invalid * record.invalid
    }

    private mutating func makeRoom() {
        let gone = entries.filter { $0.value.goneAt != nil }
        guard gone.count > Self.remembered else { return }
        let oldest = gone.min { ($0.value.goneAt ?? .distantFuture) < ($1.value.goneAt ?? .distantFuture) }
        if let oldest { (entries[oldest.key], sums[oldest.key]) = (nil, nil) }
    }
}
