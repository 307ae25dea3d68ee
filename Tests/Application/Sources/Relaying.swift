import DeP2P

/// A relay, two nodes that meet through it, and what the network looks like from here.
extension Application {
    static func relaying(_ realm: RealmKey) async throws {
        var limits = RelayLimits()
        limits.reservations = 2
        limits.circuitTime = .seconds(600)
        let relay = try await node(realm, .generate()) { configuration in
            configuration.relay = RelayConfiguration(limits: limits)
        }
        let address = await relay.addresses[0]
        let receiver = try await node(realm, .generate()) { $0.relays = [address] }
        try check(await receiver.waitForRelay(timeout: .seconds(30)), "a relay grants a reservation")
        try await receiver.onMessage { message in message.body }

        let sender = try await node(realm, .generate()) { configuration in
            configuration.relays = [address]
            configuration.usesDirect = false
            configuration.reserves = false
        }
        let reply = try await sender.send("through a relay", to: DialTarget(receiver.nodeID))
        try check(reply == Array("through a relay".utf8), "a message goes through the relay")
        let connection = await sender.connection(with: receiver.nodeID)
        try check(await connection?.path.kind == .relay(relay.nodeID), "the connection's path says so")
        let carried = await relay.relayStatistics
        try check(
            carried?.reservations == 1 && carried?.circuits == 1 && carried?.forwardedBytes ?? 0 > 0,
            "the relay counts what it carries: \(String(describing: carried))")
        try check(await sender.relayStatistics == nil, "the others are none")

        limits.reservations = 1
        await relay.changeRelayLimits(to: limits)
        let late = try await node(realm, .generate()) { $0.relays = [address] }
        let refusals = await late.events(of: .relays)
        for await event in refusals {
            if case .relay(.refused(_, _, remedy: .raiseRelayLimit("reservations"))) = event { break }
        }
        try await networkCheck(asking: [address, await receiver.addresses[0]])
        for node in [late, sender, receiver, relay] { await node.stop() }
    }

    private static func networkCheck(asking servers: [Address]) async throws {
        let unknown = try Address("/dnsaddr/relay.invalid")
        let check = try await NetworkCheck.run(servers: servers + [unknown], limit: .seconds(15))
        let report = check.report
        try Application.check(report.udp == true && report.ipv4 == true, "UDP works: \(report)")
        try Application.check(report.observers == servers.count, "each node answers: \(report)")
        try Application.check(
            report.ipv4Family.isTranslated == false, "no NAT lies between: \(report.verdict)")
        try Application.check(check.unusable.map(\.address) == [unknown], "a server that is no server is told")

        let cancelled = Task { try await NetworkCheck.run(servers: servers) }
        cancelled.cancel()
        do {
            _ = try await cancelled.value
            throw Failure(what: "a check that is cancelled ends")
        } catch let error as DeP2PError {
            try Application.check(error.code == .cancelled, "a check that is cancelled says so: \(error.code)")
        }
    }
}
