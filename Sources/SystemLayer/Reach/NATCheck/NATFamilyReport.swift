internal import DeP2PIdentity
public import DeP2PReactor

/// One address family's part of a ``NATReport``.
public struct NATFamilyReport: Equatable, Sendable {
    public struct Observation: Equatable, Sendable {
        public let observer: SocketAddress
        /// The second socket's address as this observer saw it.
        public let mapped: SocketAddress
        public let roundTrip: Duration

        package init(observer: SocketAddress, mapped: SocketAddress, roundTrip: Duration) {
            (self.observer, self.mapped, self.roundTrip) = (observer, mapped, roundTrip)
        }
    }

    /// Observers asked.
    public package(set) var asked = 0
    /// True when this machine has no address or route of the family.
    public package(set) var isUnavailable = false
    public package(set) var observations: [Observation] = []
    /// Observers from which something came that was no answer: an error, an address that can't be this node's, or what is
    /// not STUN. UDP passes.
    public package(set) var unusable = 0
    /// IP addresses of observers from which nothing came, not even that nothing listens there.
    public package(set) var silentHosts = 0
    /// Observers that saw another address than most: what they said counts for nothing.
    public package(set) var outvoted = 0
    /// The first socket's address here, and as an observer saw it.
    public package(set) var local: SocketAddress?
    public package(set) var mapped: SocketAddress?
    public package(set) var mapping: NATMapping?
    public package(set) var filtering: NATFiltering?
    public package(set) var hairpin: Bool?
    public package(set) var allocation: NATPortAllocation?
    /// Bytes of the largest IP packet that an observer answered, of the sizes tried.
    public package(set) var mtu: Int?
    /// Whether none of these sizes got through to two observers, the least of which QUIC needs.
    public package(set) var isNarrow: Bool?
    /// Responses to ``NATCheckStateMachine/burst`` requests sent at once.
    public package(set) var burstAnswered: Int?

    package init() {}

    public var works: Bool? {
        if !observations.isEmpty { return true }
        return isUnavailable ? false : nil
    }

    /// Requests sent at once that no response came to, in percent.
    public var burstLoss: Int? {
        burstAnswered.map { 100 - 100 * min($0, NATCheckStateMachine.burst) / NATCheckStateMachine.burst }
    }

    /// Whether most of what is sent at once is lost, while what is sent alone gets through.
    public var isThrottled: Bool? { burstLoss.map { $0 > 50 } }

    /// Whether an address translation lies between: the observed address is not this machine's own.
    public var isTranslated: Bool? {
        guard let local, let mapped else { return nil }
        return local.ip != mapped.ip || local.port != mapped.port
    }

    public var natType: NATType? {
        switch (isTranslated, mapping, filtering) {
        case (false?, _, .endpointIndependent?): .open
        case (false?, _, _?): .firewall
        case (true?, .endpointIndependent?, .endpointIndependent?): .fullCone
        case (true?, .endpointIndependent?, .addressDependent?): .addressRestricted
        case (true?, .endpointIndependent?, .addressAndPortDependent?): .portRestricted
        case (true?, .addressDependent?, _), (true?, .addressAndPortDependent?, _), (true?, .endpointDependent?, _):
            .symmetric
        default: nil
        }
    }
}
