package import DeP2PIdentity
package import DeP2PReactor

/// Asks observers what this network allows: the shell around ``NATCheckStateMachine``, one for each address family.
@NetworkActor
package final class NATCheck {
    package typealias OpenSocket = @NetworkActor (IPAddress.Family) throws -> any DatagramChannel
    package typealias FindSource = @NetworkActor (SocketAddress) -> IPAddress?

    /// How much is to be found out.
    package enum Scope: Sendable {
        case everything
        /// Whose packets are let in: whether those of an address that was never written to, which takes two observers, and if not,
        /// whether those of another port of one that was, which takes one node.
        case filtering
    }

    private let clock: any NetworkClock
    private let open: OpenSocket
    private let source: FindSource
    private let random: RandomSource

    /// - Parameters:
    ///   - open: gives a channel for tests in one family; closed at their end. By default a UDP socket.
    ///   - source: this machine's address towards another; `nil` without a route. By default what the kernel says.
    package init(
        clock: any NetworkClock = SystemNetworkClock.shared,
        open: @escaping OpenSocket = { try DatagramSocket($0) },
        source: @escaping FindSource = { IPAddress.source(toward: $0) }, random: RandomSource = .system
    ) {
        (self.clock, self.open, self.source, self.random) = (clock, open, source, random)
    }

    /// Runs all tests that the observers allow, both families at once; within about eight seconds.
    ///
    /// - Parameters:
    ///   - observers: dep2p nodes or STUN servers; two IP addresses a family for the mapping behaviour, two ports of one
    ///     of them, or one dep2p node, for what depends on ports. Those inside the network are left out where there are
    ///     others: they see no translation.
    ///   - limit: when to end with what is known; `nil` waits for every test.
    /// - Throws: `CancellationError`.
    package func run(
        observers: [SocketAddress], limit: Duration? = nil, scope: Scope = .everything
    ) async throws -> NATReport {
        let global = observers.filter(\.ip.isGlobal)
        let observers = global.isEmpty ? observers : global
        async let ipv4 = check(observers.filter { $0.ip.family == .v4 }, .v4, limit, scope)
        async let ipv6 = check(observers.filter { $0.ip.family == .v6 }, .v6, limit, scope)
        var report = NATReport()
        report.ipv4Family = try await ipv4
        report.ipv6Family = try await ipv6
        return report
    }

    private func check(
        _ observers: [SocketAddress], _ family: IPAddress.Family, _ limit: Duration?, _ scope: Scope
    ) async throws -> NATFamilyReport {
        var unavailable = NATFamilyReport()
        unavailable.asked = observers.count
        guard let observer = observers.first else { return unavailable }
        unavailable.isUnavailable = true
        guard let local = source(observer),
            let first = traced("a socket to check the NAT with", at: .notable, { try open(family) }),
            let second = traced("a socket to check the NAT with", at: .notable, { try open(family) })
        else { return unavailable }
        let run = NATCheckRun(
            NATCheckStateMachine(
                observers: observers, first: SocketAddress(local, port: first.localAddress.port),
                second: SocketAddress(local, port: second.localAddress.port), scope: scope,
                random: random),
            sockets: [.first: first, .second: second], clock: clock)
        defer { run.close() }
        return try await run.result(within: limit)
    }
}
