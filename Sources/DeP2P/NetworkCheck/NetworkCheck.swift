public import DeP2PIdentity
public import DeP2PReach
internal import DeP2PReactor

/// What this machine's network allows; it takes no node to find out.
///
/// ```swift
/// let check = try await NetworkCheck.run(servers: [relay])
/// print(check.report.verdict)
/// ```
public struct NetworkCheck: Sendable {
    /// Addresses of the interfaces that are up, without loopback and link-local ones.
    public let interfaces: [IPAddress]
    /// What the servers that answered tell; `nil` in it is "not determined".
    public let report: NATReport
    /// Servers that could not be asked.
    public let unusable: [UnusableServer]

    package init(interfaces: [IPAddress], report: NATReport, unusable: [UnusableServer]) {
        self.interfaces = interfaces
        self.report = report
        self.unusable = unusable
    }

    /// Asks the servers, and the gateway for its port mapping protocols; contacts nobody else.
    ///
    /// - Parameters:
    ///   - servers: dep2p nodes, STUN servers, and TCP addresses of relays; the first 32 are asked. Two at different
    ///     addresses tell how a NAT maps ports, a dep2p node among them whom it lets in.
    ///   - limit: for the questions over UDP; `nil` waits for every test, which takes at most some ten seconds.
    /// - Returns: what was found out, also when nobody answered: ``NATReport/observers`` counts who did.
    /// - Throws: ``DeP2PError`` `cancelled`.
    @NetworkActor
    public static func run(servers: [Address], limit: Duration? = nil) async throws(DeP2PError) -> NetworkCheck {
        do { return try await check(servers, limit, in: .system) } catch { throw DeP2PError(error) }
    }

    @NetworkActor
    private static func check(
        _ servers: [Address], _ limit: Duration?, in environment: NodeEnvironment
    ) async throws -> NetworkCheck {
        async let mapping = PortMappingProbe(clock: environment.clock).run(in: environment.portMapping)
        let observers = try await NATObservers.resolve(servers, clock: environment.clock, names: environment.names)
        var report = try await environment.natCheck().run(observers: observers.udp, limit: limit)
        try await TCPProbe.complete(&report, observers)
        let gateway = try await mapping
        (report.portMapping, report.gatewayAddress) = (gateway.protocols, gateway.external)
        return NetworkCheck(
            interfaces: environment.interfaces().map(\.address.ip).filter { !$0.isLoopback }, report: report,
            unusable: observers.unusable)
    }
}
