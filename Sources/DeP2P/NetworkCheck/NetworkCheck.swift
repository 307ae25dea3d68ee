package import DeP2PIdentity
package import DeP2PReach
internal import DeP2PReactor

/// What this machine's network allows: needs no node.
package struct NetworkCheck: Sendable {
    /// Addresses of the interfaces that are up, without loopback and link-local ones.
    package let interfaces: [IPAddress]
    package let report: NATReport
    /// Servers that could not be asked.
    package let unusable: [NATObservers.Unusable]

    package init(interfaces: [IPAddress], report: NATReport, unusable: [NATObservers.Unusable]) {
        self.interfaces = interfaces
        self.report = report
        self.unusable = unusable
    }

    /// Asks the servers, and the gateway for its port mapping protocols; contacts nobody else.
    ///
    /// - Parameters:
    ///   - servers: dep2p nodes, STUN servers, and TCP legs of relays.
    ///   - limit: for the questions over UDP; `nil` waits for every test, which takes at most some ten seconds.
    /// - Throws: `CancellationError`.
    @NetworkActor
    package static func run(servers: [Address], limit: Duration? = nil) async throws -> NetworkCheck {
        let environment = NodeEnvironment.system
        async let mapping = PortMappingProbe(clock: environment.clock).run(in: environment.portMapping)
        let observers = try await NATObservers.resolve(servers, clock: environment.clock, names: environment.names)
        var report = try await environment.natCheck().run(observers: observers.udp, limit: limit)
        try await TCPProbe.complete(&report, observers)
        report.portMapping = try await mapping
        return NetworkCheck(
            interfaces: environment.interfaces().map(\.address.ip).filter { !$0.isLoopback }, report: report,
            unusable: observers.unusable)
    }
}
