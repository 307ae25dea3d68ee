import DeP2P

/// Connections: to a node of no realm, pinged, proven, watched and closed.
extension Application {
    static func connections(_ realm: RealmKey) async throws {
        let (left, right) = (try await node(nil, .generate()), try await node(nil, .generate()))
        let events = await left.events(of: .sessions)
        let connection = try await left.connect(to: DialTarget(await right.addresses[0]))
        try check(connection.nodeID == right.nodeID && connection.isOutgoing, "it is the one that was dialled")
        try check(await connection.path.kind == .direct, "it is direct")
        try await pings(connection)
        try check(try await connection.agent() == NodeConfiguration().agent, "it says what it is")

        try await left.join(realm)
        try await right.join(realm)
        try await connection.proveMembership()
        try check(await connection.isMember, "both have the realm key")
        let far = await right.connection(with: left.nodeID)
        let statistics = await connection.statistics
        try check(
            statistics.bytesSent > 0 && statistics.bytesReceived > 0 && statistics.roundTrip ?? .zero > .zero,
            "it has carried something: \(statistics)")

        await connection.close()
        _ = try await far?.waitUntilClosed()
        try check(await connection.end != nil, "it is closed")
        try check(await left.openConnections.isEmpty, "nothing is left of it")
        await left.stop()
        let told = await ids(events)
        try check(told == [connection.id], "events tell of it by its number: \(told)")
        await right.stop()
    }

    private static func ids(_ events: NodeEvents) async -> Set<UInt64> {
        var ids: Set<UInt64> = []
        for await event in events {
            if case .session(let session, _) = event { ids.insert(session.id) }
        }
        return ids
    }

    private static func pings(_ connection: NodeConnection) async throws {
        try check(try await connection.ping() > .zero, "a ping is answered")
        var options = PingOptions(count: 3)
        options.interval = .milliseconds(10)
        var numbers: [Int] = []
        for try await reply in connection.pings(options) {
            try check(reply.roundTrip ?? .zero > .zero && !reply.path.isRelayed, "each is answered: \(reply)")
            numbers.append(reply.number)
        }
        try check(numbers == [1, 2, 3], "as many as were wanted: \(numbers)")
    }
}
