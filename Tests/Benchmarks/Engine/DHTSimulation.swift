import DeP2PSimulation

/// `Benchmarks dht`: the DHT's machines among thousands of nodes, on virtual time.
enum DHTSimulation {
    private static let options: [String: @Sendable (inout DHTExperiment, String) -> Bool] = [
        "--nodes": { set(&$0.settings.nodes, $1) },
        "--seed": { set(&$0.settings.seed, $1) },
        "--start": { choose(&$0.settings.start, $1) },
        "--loss": { set(&$0.settings.loss, $1) },
        "--churn": { set(&$0.settings.churn, $1) },
        "--sybils": { set(&$0.settings.sybilShare, $1) },
        "--sybils-conduct": { choose(&$0.settings.sybils, $1) },
        "--attack": { choose(&$0.attack, $1) },
        "--records": { set(&$0.records, $1) },
        "--lookups": { set(&$0.lookups, $1) },
        "--warm-up": { setSeconds(&$0.warmUp, $1) },
        "--span": { setSeconds(&$0.span, $1) },
    ]

    /// - Returns: `nil` for options that it does not have.
    static func report(_ arguments: [String]) -> Report? {
        var experiment = DHTExperiment()
        guard arguments.count % 2 == 0, let trips = InternetRoundTrips.internet else { return nil }
        for index in stride(from: 0, to: arguments.count, by: 2) {
            guard options[arguments[index]]?(&experiment, arguments[index + 1]) == true else { return nil }
        }
        // Fewer than a bucket holds are no DHT.
        guard experiment.settings.nodes >= 50 else { return nil }
        var report = Report()
        report.add("nodes", experiment.settings.nodes)
        report.add("seed", Int(clamping: experiment.settings.seed))
        report.add("start", experiment.settings.start.rawValue)
        report.add("attack", experiment.attack.rawValue)
        for row in experiment.run(trips: trips).rows { report.add(row.name, row.value) }
        return report
    }

    /// `Benchmarks dht-still`: one lookup after the other among very many nodes that stay.
    static func stillReport(_ arguments: [String]) -> Report? {
        var (nodes, lookups, loss, seed) = (1_000_000, 1_000, 0.05, UInt64(1))
        guard arguments.count % 2 == 0, let trips = InternetRoundTrips.internet else { return nil }
        for index in stride(from: 0, to: arguments.count, by: 2) {
            let text = arguments[index + 1]
            switch arguments[index] {
            case "--nodes": guard set(&nodes, text), (50..<1 << 24).contains(nodes) else { return nil }
            case "--lookups": guard set(&lookups, text), lookups > 0 else { return nil }
            case "--loss": guard set(&loss, text), (0..<1).contains(loss) else { return nil }
            case "--seed": guard set(&seed, text) else { return nil }
            default: return nil
            }
        }
        let world = DHTStillWorld(nodes: nodes, loss: loss, seed: seed, trips: trips)
        var figures = DHTFigures()
        for _ in 0..<lookups { figures.add(get: world.get()) }
        var report = Report()
        report.add("nodes", nodes)
        report.add("seed", Int(clamping: seed))
        for row in figures.rows where row.name.hasPrefix("get") { report.add(row.name, row.value) }
        return report
    }

    private static func set<Value: LosslessStringConvertible>(_ value: inout Value, _ text: String) -> Bool {
        guard let given = Value(text) else { return false }
        value = given
        return true
    }

    private static func choose<Value: RawRepresentable<String>>(_ value: inout Value, _ text: String) -> Bool {
        guard let given = Value(rawValue: text) else { return false }
        value = given
        return true
    }

    private static func setSeconds(_ value: inout Duration, _ text: String) -> Bool {
        guard let seconds = Int(text), seconds > 0 else { return false }
        value = .seconds(seconds)
        return true
    }
}
