internal import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PReactor

/// A world, what happens in it, and what is asked of it then.
package struct DHTExperiment: Sendable {
    package enum Attack: String, Sendable, CaseIterable {
        case none
        /// ``crowdCount`` identities next to each key that is looked up, after they have seen it; they take the records
        /// that are stored then, and answer as they are.
        case withhold
        case lie
        /// The same, and they name nodes that do not exist.
        case invent
        /// Identities in a few subnets fill the tables.
        case flood
        /// Many identities of many subnets fill the stores nearest to the records.
        case records
    }

    static let crowdCount = 40
    package static let floodSubnets = 8

    package var settings = DHTWorldSettings()
    package var attack = Attack.none
    /// Before anything is asked.
    package var warmUp: Duration = .seconds(600)
    /// In which it is asked.
    package var span: Duration = .seconds(1_200)
    /// Identities of a flood.
    package var floodCount = 2_000
    /// The attackers have so long to become known.
    package var settling: Duration = .seconds(300)
    /// Stored before anybody attacks; under attack as many others then.
    package var records = 200
    package var lookups = 2_000

    package init() {}

    /// - Parameter progress: told of what is reached.
    package func run(trips: InternetRoundTrips, progress: (String) -> Void = { _ in }) -> DHTFigures {
        let world = DHTWorld(settings, trips: trips)
        let run = Run(experiment: self, world: world)
        progress("made \(settings.nodes) nodes, \(settings.start.rawValue)")
        world.run(for: warmUp)
        progress("warm: \(world.eventCount) events")
        run.store()
        progress("stored \(run.figures.puts.count) records")
        run.attack()
        run.ask()
        progress("asked: \(world.eventCount) events")
        return run.figures
    }

    private final class Run {
        let experiment: DHTExperiment
        let world: DHTWorld
        var figures = DHTFigures()
        /// Each is stored once: before the attackers come, or while they are there.
        var items: [MutableItem] = []
        var laterItems: [MutableItem] = []
        private let signer: IdentityKey

        init(experiment: DHTExperiment, world: DHTWorld) {
            (self.experiment, self.world) = (experiment, world)
            signer = IdentityKey.generate(from: RandomSource(replaying: SplitMix64(seed: experiment.settings.seed)))
            items = makeItems("before")
            if experiment.attack != .none { laterItems = makeItems("later") }
        }

        private func makeItems(_ name: String) -> [MutableItem] {
            // Of the right lengths by construction.
            (0..<experiment.records).compactMap { number in
                try? MutableItem(
                    by: signer, salt: Array("\(name) \(number)".utf8), seq: 1, value: [UInt8](repeating: 7, count: 300))
            }
        }

        func store() { put(items) { self.figures.puts.append($0) } }

        private func put(_ items: [MutableItem], then completion: @escaping (DHTOperationResult) -> Void) {
            let gap = Duration.milliseconds(500)
            for (number, item) in items.enumerated() {
                world.schedule(after: gap * number) { [world] in
                    world.put(item, from: world.anyNode(), then: completion)
                }
            }
            world.run(for: gap * items.count + .seconds(30))
        }

        func attack() {
            // The attackers know the keys of what is yet to be stored, too.
            let keys = (items + laterItems).map(\.key)
            switch experiment.attack {
            case .none: return
            case .withhold: crowd(keys, .withhold)
            case .lie: crowd(keys, .lie)
            case .invent: crowd(keys, .invent)
            case .records:
                for key in keys { world.floodStores(around: key) }
            case .flood:
                world.floodTables(count: experiment.floodCount, subnets: DHTExperiment.floodSubnets)
            }
            world.run(for: experiment.settling)
            put(laterItems) { self.figures.laterPuts.append($0) }
            figures.flooded = world.largestFloodedShare()
            figures.largestStore = world.nodes.map(\.store.count).max() ?? 0
        }

        private func crowd(_ keys: [DHTKey], _ conduct: DHTWorldNode.Conduct) {
            for key in keys { world.crowd(key, count: DHTExperiment.crowdCount, conduct: conduct) }
        }

        func ask() {
            let (messages, bytes, start) = (world.idleMessages, world.idleBytes, world.now)
            let gap = experiment.span / max(experiment.lookups, 1)
            for number in 0..<experiment.lookups where !items.isEmpty {
                // Under attack every other one is of what was stored then.
                let isLater = !laterItems.isEmpty && number % 2 == 1
                let all = isLater ? laterItems : items
                let key = all[number / (laterItems.isEmpty ? 1 : 2) % all.count].key
                world.schedule(after: gap * number) { [self] in
                    world.get(key, from: world.anyNode()) { [self] result in
                        if isLater { figures.laterGets.append(result) } else { figures.gets.append(result) }
                    }
                }
                if number % 8 == 0 { world.schedule(after: gap * number) { [self] in find() } }
            }
            world.run(for: experiment.span + .seconds(60))
            let nodeSeconds = world.now.duration(since: start).seconds * Double(experiment.settings.nodes)
            figures.idleMessagesPerSecond = Double(world.idleMessages - messages) / nodeSeconds
            figures.idleBytesPerSecond = Double(world.idleBytes - bytes) / nodeSeconds
        }

        private func find() {
            let key = world.anyKey()
            world.find(key, from: world.anyNode()) { [self] result in
                figures.finds.append(result)
                let found = Set(result.closest.prefix(DHT.replication))
                figures.overlap.append(Double(world.trueClosest(to: key).count(where: found.contains)))
            }
        }
    }
}

/// What came of a ``DHTExperiment``.
package struct DHTFigures: Sendable {
    package internal(set) var gets: [DHTOperationResult] = []
    package internal(set) var puts: [DHTOperationResult] = []
    /// Of records that were stored when the attackers were there, and never before.
    package internal(set) var laterGets: [DHTOperationResult] = []
    package internal(set) var laterPuts: [DHTOperationResult] = []
    package internal(set) var finds: [DHTOperationResult] = []
    /// Of the twenty nearest, how many each lookup of nodes has found.
    package internal(set) var overlap: [Double] = []
    /// Of one node and second, for what nobody asked for.
    package internal(set) var idleMessagesPerSecond = 0.0
    package internal(set) var idleBytesPerSecond = 0.0
    /// The largest part of a table that a flood has taken.
    package internal(set) var flooded = (entries: 0, table: 0)
    package internal(set) var largestStore = 0

    package init() {}

    package mutating func add(get result: DHTOperationResult) { gets.append(result) }

    /// The value that this part of them does not exceed; 0 of none.
    package static func quantile(_ part: Double, of values: [Double]) -> Double {
        guard !values.isEmpty else { return 0 }
        let sorted = values.sorted()
        return sorted[min(Int(part * Double(sorted.count)), sorted.count - 1)]
    }

    package static func successShare(_ results: [DHTOperationResult]) -> Double {
        results.isEmpty ? 0 : Double(results.count(where: \.isSuccess)) / Double(results.count)
    }

    /// Names and values, as they are shown.
    package var rows: [(name: String, value: Double)] {
        func rows(_ name: String, _ results: [DHTOperationResult]) -> [(String, Double)] {
            let good = results.filter(\.isSuccess)
            func quantiles(_ what: String, _ value: (DHTOperationResult) -> Double) -> [(String, Double)] {
                [(0.5, "p50"), (0.95, "p95")].map {
                    ("\(name)_\(what)_\($0.1)", Self.quantile($0.0, of: good.map(value)))
                }
            }
            return [("\(name)s", Double(results.count)), ("\(name)_success", Self.successShare(results))]
                + quantiles("rounds") { Double($0.rounds) } + quantiles("requests") { Double($0.requests) }
                + quantiles("messages") { Double($0.messages) } + quantiles("bytes") { Double($0.bytes) }
                + quantiles("ms") { $0.elapsed.milliseconds }
        }
        let stored = puts.map { Double($0.stored) }
        let all: [(String, Double)] =
            rows("get", gets) + rows("find", finds) + rows("put", puts)
            + (laterGets.isEmpty ? [] : rows("later_get", laterGets) + rows("later_put", laterPuts))
            + [
                ("put_placed_p50", Self.quantile(0.5, of: stored)),
                ("find_overlap_mean", overlap.reduce(0, +) / Double(max(overlap.count, 1))),
                ("idle_messages_per_second", idleMessagesPerSecond), ("idle_bytes_per_second", idleBytesPerSecond),
                ("flooded_entries", Double(flooded.entries)), ("flooded_of", Double(flooded.table)),
                ("largest_store", Double(largestStore)),
            ]
        return all.map { (name: $0.0, value: $0.1) }
    }
}
