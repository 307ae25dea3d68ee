import DeP2P

/// What a network allows, for people and for programs.
enum NATCheckTable {
    private static let unknown = "not determined"

    /// A row a fact; what was not determined is said where it matters.
    static func lines(_ check: NetworkCheck) -> [String] {
        let report = check.report
        let family = report.decisive
        let rows: [(String, String?)] = [
            ("addresses", list(check.interfaces)),
            ("UDP", udp(report)), ("TCP", report.tcp.map(yesNo)),
            ("IPv4", self.family(report.ipv4Family)), ("IPv6", self.family(report.ipv6Family)),
            ("NAT", report.natType?.rawValue ?? unknown),
            ("mapping", report.mapping?.rawValue ?? unknown), ("filtering", report.filtering?.rawValue ?? unknown),
            ("ports", family.allocation?.description), ("hairpin", family.hairpin.map(yesNo)),
            ("path MTU", family.mtu.map { "\($0) bytes or more" }),
            ("throttled", throttled(family)), ("portal", report.captivePortal.flatMap { $0 ? "yes" : nil }),
            ("port mapping", mapping(report.portMapping)),
        ]
        let shown = rows.compactMap { row in row.1.map { (row.0, $0) } }
        let width = shown.map(\.0.count).max() ?? 0
        return shown.map { $0 + String(repeating: " ", count: width - $0.count + 2) + $1 }
    }

    private static func yesNo(_ value: Bool) -> String { value ? "yes" : "no" }

    private static func list(_ items: [some CustomStringConvertible]) -> String? {
        items.isEmpty ? nil : items.map(\.description).joined(separator: ", ")
    }

    private static func udp(_ report: NATReport) -> String {
        let answered = "\(report.observers) of \(report.observersAsked) servers answered"
        return switch report.udp {
        case true?: "yes, \(answered)"
        case false?: "no, \(answered)"
        case nil: report.observersAsked == 0 ? unknown : "\(unknown), \(answered)"
        }
    }

    private static func family(_ family: NATFamilyReport) -> String {
        guard let works = family.works else { return unknown }
        guard works else { return "no" }
        var seen: [SocketAddress] = []
        for mapped in family.observations.map(\.mapped) where !seen.contains(mapped) { seen.append(mapped) }
        let type = family.natType.map { $0 == .open ? ", no NAT" : ", \($0.rawValue)" } ?? ""
        return "yes, seen as \(list(seen) ?? unknown)\(type)"
    }

    private static func throttled(_ family: NATFamilyReport) -> String? {
        guard let loss = family.burstLoss, let isThrottled = family.isThrottled else { return nil }
        return isThrottled
            ? "yes, \(loss) % of a burst was lost" : loss > 0 ? "no, \(loss) % of a burst was lost" : "no"
    }

    private static func mapping(_ found: [PortMappingProtocol: Bool]) -> String {
        guard !found.isEmpty else { return "no IPv4 gateway to ask" }
        return list(PortMappingProtocol.allCases.filter { found[$0] == true }.map(\.name)) ?? "none"
    }

    // MARK: JSON

    static func fields(_ check: NetworkCheck) -> [JSONField] {
        let report = check.report
        let family = report.decisive
        return [
            bool("udp", report.udp), bool("ipv4", report.ipv4), bool("ipv6", report.ipv6),
            .string("mapping", report.mapping?.rawValue), .string("filtering", report.filtering?.rawValue),
            .string("nat_type", report.natType?.rawValue), strings("observed", report.observed),
            JSONField(
                "port_mapping",
                .object(PortMappingProtocol.allCases.map { bool($0.rawValue, report.portMapping[$0]) })),
            JSONField(
                "observers", .array((report.ipv4Family.observations + report.ipv6Family.observations).map(observer))),
            .int("observers_asked", report.observersAsked), bool("hairpin", family.hairpin),
            .string("ports", family.allocation?.description), int("mtu", family.mtu),
            int("loss_percent", family.burstLoss), bool("throttled", family.isThrottled), bool("tcp", report.tcp),
            bool("captive_portal", report.captivePortal),
            .string("ipv6_nat_type", report.ipv6Family.natType?.rawValue), strings("interfaces", check.interfaces),
            .string("verdict", report.verdict),
        ]
    }

    private static func observer(_ observation: NATFamilyReport.Observation) -> JSONValue {
        .object([
            .string("server", "\(observation.observer)"), .string("observed", "\(observation.mapped)"),
            .milliseconds("rtt_ms", observation.roundTrip),
        ])
    }

    private static func bool(_ name: String, _ value: Bool?) -> JSONField {
        JSONField(name, value.map(JSONValue.bool) ?? .null)
    }

    private static func int(_ name: String, _ value: Int?) -> JSONField {
        JSONField(name, value.map { .int(Int64($0)) } ?? .null)
    }

    private static func strings(_ name: String, _ values: [some CustomStringConvertible]) -> JSONField {
        JSONField(name, .array(values.map { .string($0.description) }))
    }
}
