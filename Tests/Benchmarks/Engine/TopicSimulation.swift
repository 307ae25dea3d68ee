import DeP2PSimulation

/// `Benchmarks topics`: the router of topics among thousands of nodes, on virtual time.
enum TopicSimulation {
    private static let options: [String: @Sendable (inout TopicWorldSettings, String) -> Bool] = [
        "--nodes": { set(&$0.nodes, $1) },
        "--seed": { set(&$0.seed, $1) },
        "--loss": { set(&$0.loss, $1) },
        "--churn": { set(&$0.churn, $1) },
        "--attackers": { set(&$0.attackers, $1) },
        "--attack": { settings, text in
            guard let attack = TopicWorldSettings.Attack(rawValue: text) else { return false }
            settings.attack = attack
            return true
        },
        "--size": { set(&$0.size, $1) },
        "--messages": { set(&$0.messages, $1) },
        "--rate": { set(&$0.rate, $1) },
        "--dials": { set(&$0.dials, $1) },
        "--uplink": { set(&$0.uplink, $1) },
    ]

    /// - Returns: `nil` for options that it does not have.
    static func report(_ arguments: [String]) -> Report? {
        var settings = TopicWorldSettings()
        guard arguments.count % 2 == 0, let trips = InternetRoundTrips.internet else { return nil }
        for index in stride(from: 0, to: arguments.count, by: 2) {
            guard options[arguments[index]]?(&settings, arguments[index + 1]) == true else { return nil }
        }
        guard settings.nodes > 100, settings.messages > 0, settings.rate > 0, settings.uplink > 0, settings.dials > 0,
            (8...1_000_000).contains(settings.size)
        else { return nil }
        var report = Report()
        report.add("nodes", settings.nodes)
        report.add("seed", Int(clamping: settings.seed))
        report.add("attack", settings.attack.rawValue)
        report.add("size", settings.size)
        let started = ContinuousClock.now
        for row in TopicExperiment.run(settings, trips: trips).rows { report.add(row.name, row.value) }
        report.add("took_s", seconds(.now - started))
        return report
    }

    private static func set<Value: LosslessStringConvertible>(_ value: inout Value, _ text: String) -> Bool {
        guard let given = Value(text) else { return false }
        value = given
        return true
    }
}
