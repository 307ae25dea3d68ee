internal import DeP2PApp
internal import DeP2PIdentity
internal import DeP2PReactor

/// What has come of the messages of a ``TopicWorld``.
package struct TopicTally {
    struct Publication {
        let at: NetworkInstant
        let author: Int
        /// For each node by its index since when who had it is there; 0 where that one did not have it.
        var holders: [UInt64] = []
        var deliveries = 0

        mutating func note(_ node: TopicWorldNode) {
            while holders.count <= node.index { holders.append(0) }
            deliveries += holders[node.index] == 0 ? 1 : 0
            holders[node.index] = node.joinedAt.nanoseconds
        }

        func isHeld(by node: TopicWorldNode) -> Bool {
            node.index < holders.count && holders[node.index] == node.joinedAt.nanoseconds
        }
    }

    package internal(set) var events = 0
    private var publications: [Publication] = []
    private var places: [PubSubMessage.ID: Int] = [:]
    private var order: [PubSubMessage.ID] = []
    /// In seconds, of honest nodes that were there when it was published.
    private var latencies: [Float] = []
    private var copies = 0
    private var bytes = 0

    mutating func published(_ message: PubSubMessage, by node: TopicWorldNode, now: NetworkInstant) {
        places[message.id] = publications.count
        publications.append(Publication(at: now, author: node.index))
        order.append(message.id)
    }

    mutating func delivered(_ message: PubSubMessage, to node: TopicWorldNode, now: NetworkInstant) {
        guard !node.isAttacker, let place = places[message.id] else { return }
        let at = publications[place].at
        publications[place].note(node)
        if node.joinedAt <= at { latencies.append(Float(now.duration(since: at) / .seconds(1))) }
    }

    mutating func arrived(_ payloads: Int, at node: TopicWorldNode) { if !node.isAttacker { copies += payloads } }

    mutating func sent(_ count: Int, by node: TopicWorldNode) { if !node.isAttacker, !order.isEmpty { bytes += count } }

    func recentIDs(_ count: Int) -> [[UInt8]] { order.suffix(count).map(\.bytes) }

    /// - Parameter settle: how long a node has to have been there before a message, so that it has a mesh.
    package func figures(of world: TopicWorld, settle: Duration = .seconds(5)) -> TopicFigures {
        var figures = TopicFigures()
        var (wanted, had, victimsWanted, victimsHad, deliveries) = (0, 0, 0, 0, 0)
        for publication in publications {
            deliveries += publication.deliveries
            for node in world.nodes where !node.isAttacker && node.index != publication.author {
                guard node.joinedAt.advanced(by: settle) <= publication.at else { continue }
                let has = publication.isHeld(by: node)
                wanted += 1
                had += has ? 1 : 0
                if node.conduct == .victim {
                    victimsWanted += 1
                    victimsHad += has ? 1 : 0
                }
            }
        }
        figures.delivery = wanted > 0 ? Double(had) / Double(wanted) : 0
        figures.missing = wanted - had
        figures.victimDelivery = victimsWanted > 0 ? Double(victimsHad) / Double(victimsWanted) : 1
        let sorted = latencies.sorted()
        if !sorted.isEmpty {
            figures.median = Double(sorted[sorted.count / 2])
            figures.p99 = Double(sorted[sorted.count * 99 / 100])
            figures.slowest = Double(sorted[sorted.count - 1])
        }
        figures.duplicates = Double(copies - deliveries) / Double(max(deliveries, 1))
        figures.bytesPerDeliveredByte = Double(bytes) / Double(max(deliveries * world.settings.size, 1))
        return figures
    }
}

/// The figures of one run.
package struct TopicFigures: Sendable {
    /// Of honest nodes that stayed, those who had each message.
    package internal(set) var delivery = 0.0
    /// So many messages of so many nodes did not come.
    package internal(set) var missing = 0
    package internal(set) var victimDelivery = 1.0
    /// In seconds.
    package internal(set) var median = 0.0
    package internal(set) var p99 = 0.0
    package internal(set) var slowest = 0.0
    /// Copies of a message that came to an honest node beyond the first.
    package internal(set) var duplicates = 0.0
    /// What honest nodes sent, of everything, for each byte of a message that was delivered.
    package internal(set) var bytesPerDeliveredByte = 0.0

    package var rows: [(name: String, value: Double)] {
        [
            ("delivery", delivery), ("missing", Double(missing)), ("victim_delivery", victimDelivery),
            ("p50_s", median),
            ("p99_s", p99), ("max_s", slowest), ("duplicates", duplicates),
            ("bytes_per_delivered_byte", bytesPerDeliveredByte),
        ]
    }
}

/// A world, and messages in it.
package enum TopicExperiment {
    package static func run(_ settings: TopicWorldSettings, trips: InternetRoundTrips) -> TopicFigures {
        let world = TopicWorld(settings, trips: trips)
        for number in 0..<settings.messages {
            world.schedule(after: settings.warmUp + .seconds(Double(number) / settings.rate)) { world.publish(number) }
        }
        world.run(for: settings.warmUp + .seconds(Double(settings.messages) / settings.rate) + settings.patience)
        return world.tally.figures(of: world)
    }
}
