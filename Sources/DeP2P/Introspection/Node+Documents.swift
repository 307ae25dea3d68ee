internal import DeP2PIdentity
internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions
internal import DeP2PStorage

/// What a node is and whether it is well, as introspection shows it. Fields are added, never renamed.
extension Node {
    func nodeDocument(_ part: IntrospectionPart) -> JSON {
        .object([
            .init("v", .int(1)), .init("node_id", .string("\(nodeID)")), .init("agent", .string(part.agent)),
            .init("started", .string(Timestamp.text(part.startTime))), .init("up_seconds", .seconds(part.upTime)),
            .init("preset", .string(part.preset.name)), .init("realm_id", .text(realmID?.description)),
            .init("listening", .texts(localAddresses.map(\.description))),
            .init("addresses", .texts(addresses.map(\.description))),
            .init("reachability", reachabilityDocument(part)),
            .init("port_mappings", .array(portMappings.map(Self.document))),
            .init(
                "limits",
                .object([
                    .init("low_watermark", .number(part.preset.lowWatermark)),
                    .init("high_watermark", .number(part.preset.highWatermark)),
                ])),
        ])
    }

    func healthDocument(_ part: IntrospectionPart) -> JSON {
        let problems = problems(part)
        return .object([
            .init("v", .int(1)), .init("status", .string(problems.isEmpty ? "ok" : "degraded")),
            .init("problems", .texts(problems)), .init("up_seconds", .seconds(part.upTime)),
            .init("reachable", .string(reachabilityAnswer(part).answer)),
            .init("connections", .number(connections.sessions.count)),
            .init("in_realm", .bool(realmID != nil)),
            .init("failed", .number(part.failures.count)),
            .init("failures", .array(part.failures.failures.reversed().map(Self.document))),
        ])
    }

    private func problems(_ part: IntrospectionPart) -> [String] {
        var problems: [String] = []
        if !isStorageKept { problems.append("what the node remembers is kept for this run only") }
        let answer = reachabilityAnswer(part)
        if answer.answer == "no" { problems.append(answer.why) }
        return problems
    }

    /// False while there is a store on disk that cannot be written.
    var isStorageKept: Bool { storage.condition.problem == nil }

    func reachabilityAnswer(_ part: IntrospectionPart) -> ReachabilityAnswer {
        var facts = ReachabilityAnswer.Facts()
        (facts.state, facts.usesDirect) = (reachability, usesDirect)
        facts.hasPort = !portMappings.isEmpty
        (facts.relaysWanted, facts.relaysHeld) = (part.relaysWanted, relayReservations.count)
        facts.address = own.reachability.verified.first?.description
        return ReachabilityAnswer(facts)
    }

    private func reachabilityDocument(_ part: IntrospectionPart) -> JSON {
        let answer = reachabilityAnswer(part)
        return .object([
            .init("reachable", .string(answer.answer)), .init("why", .string(answer.why)),
            .init("hint", .text(answer.hint)), .init("straight", .string(reachability.rawValue)),
            .init("verified", .texts(own.reachability.verified.map(\.description))),
            .init("refuted", .texts(own.reachability.refuted.map(\.description).sorted())),
        ])
    }

    private nonisolated static func document(_ mapping: PortMapping) -> JSON {
        .object([
            .init("protocol", .string(mapping.kind.rawValue)), .init("port", .number(mapping.externalPort)),
            .init("address", .text(mapping.externalAddress?.description)),
        ])
    }

    private nonisolated static func document(_ failure: FailureLog.Failure) -> JSON {
        .object([
            .init("at", .string(Timestamp.text(failure.at))), .init("what", .string(failure.what)),
            .init("node_id", .text(failure.peer?.description)), .init("reason", .string(failure.reason)),
        ])
    }
}
