package import DeP2PIdentity
package import DeP2PReactor

/// Keeps one UDP port mapped on a gateway: asks by PCP, then NAT-PMP, then UPnP, renews at half the lifetime, makes
/// the mapping anew when the gateway lost it, removes it at the end.
///
/// States: idle → asking (one protocol after the other) → mapped ⇄ renewing; → resting when nobody maps, then asking
/// again; → removing → stopped. Calling order: `start(now:)`; then the `handle…` of whatever happens and
/// `timerFired(now:)` at ``wake``; `stop(now:)` once. Each returns what to do, in order.
package struct PortMappingStateMachine: TimedMachine, Sendable {
    package enum Action: Equatable, Sendable {
        /// To the gateway's port ``PCP/port``.
        case send([UInt8])
        /// Add by UPnP, then call `handleUPnP(_:now:)`. Lifetime in seconds.
        case addByUPnP(externalPort: UInt16, internalPort: UInt16, lifetime: UInt32)
        case removeByUPnP(externalPort: UInt16)
        /// The mapping changed; `nil` when there is none any more.
        case changed(PortMapping?)
    }

    /// How a UPnP request ended.
    package enum UPnPResult: Equatable, Sendable {
        case mapped(externalPort: UInt16, address: IPAddress?)
        /// The gateway refused with this error code of UPnP's.
        case refused(Int)
        case noGateway
    }

    /// Seconds asked for. Short, so that a gateway that restarted unnoticed is without the mapping for minutes only.
    package static let lifetime: UInt32 = 1200
    /// What a gateway may answer instead: at least this for renewal not to become a flood, at most a day.
    static let lifetimes: ClosedRange<UInt32> = 10...86_400
    /// The first wait for an answer; doubles (RFC 6886 section 3.1).
    static let initialTimeout = Duration.milliseconds(250)
    static let transmissions = 3
    /// Until everything is tried again when nobody mapped.
    static let firstRest = Duration.seconds(60)
    static let longestRest = Duration.seconds(3600)
    /// Least time between two renewals that went unanswered (RFC 6887 section 11.2.1).
    static let leastRenewal = Duration.seconds(4)

    struct Attempt: Equatable {
        var kind: PortMappingProtocol
        var transmissions = 1
        var deadline: NetworkInstant
    }

    struct Held: Equatable {
        var mapping: PortMapping
        var renewAt: NetworkInstant
        let expiresAt: NetworkInstant
    }

    enum State: Equatable {
        case idle
        /// `held` while renewing.
        case asking(Attempt, held: Held?)
        case mapped(Held)
        case resting(until: NetworkInstant, next: Duration)
        case removing(Attempt, Held)
        case stopped
    }

    private(set) var state = State.idle
    private let client: IPAddress
    private let internalPort: UInt16
    private let nonce: [UInt8]
    private let preferred: PortMappingProtocol
    private var epoch = GatewayEpoch()
    private var natPMPAddress: IPAddress?
    private var nextRest = Self.firstRest

    /// - Parameters:
    ///   - client: this machine's address towards the gateway.
    ///   - nonce: ``PCP/nonceLength`` unpredictable bytes.
    ///   - preferred: the first protocol tried; those better than it are not.
    package init(
        client: IPAddress, internalPort: UInt16, nonce: [UInt8], preferred: PortMappingProtocol = .pcp
    ) {
        self.preferred = preferred
        self.client = client
        self.internalPort = internalPort
        self.nonce = Array((nonce + [UInt8](repeating: 0, count: PCP.nonceLength)).prefix(PCP.nonceLength))
    }

    package var isStopped: Bool { state == .stopped }

    package var mapping: PortMapping? { held?.mapping }

    package var wake: NetworkInstant? {
        switch state {
        case .idle, .stopped: nil
        case .asking(let attempt, _), .removing(let attempt, _): attempt.deadline
        case .mapped(let held): held.renewAt
        case .resting(let until, _): until
        }
    }

    private var held: Held? {
        switch state {
        case .mapped(let held), .removing(_, let held): held
        case .asking(_, let held): held
        case .idle, .resting, .stopped: nil
        }
    }

    package mutating func start(now: NetworkInstant) -> [Action] {
        guard state == .idle else { return [] }
        return ask(by: preferred, held: nil, now: now)
    }

    /// Removes the mapping, if there is one. ``isStopped`` once the gateway confirmed or did not answer.
    package mutating func stop(now: NetworkInstant) -> [Action] {
        guard let held else {
            defer { state = .stopped }
            // The gateway may be about to grant what was asked for: its answer is not waited for.
            guard case .asking(let attempt, _) = state, attempt.kind != .upnp else { return [] }
            return [removal(by: attempt.kind, externalPort: 0)]
        }
        if case .removing = state { return [] }
        let kind = held.mapping.kind
        state = .removing(Attempt(kind: kind, deadline: now.advanced(by: Self.initialTimeout)), held)
        return [removal(by: kind, externalPort: held.mapping.externalPort), .changed(nil)]
    }

    // MARK: Events

    /// The network has changed, the gateway has not: what it holds is renewed, and who refused is asked again.
    package mutating func handleNetworkChange(now: NetworkInstant) -> [Action] {
        switch state {
        case .mapped(let held): return ask(by: held.mapping.kind, held: held, now: now)
        case .resting:
            nextRest = Self.firstRest
            return ask(by: preferred, held: nil, now: now)
        case .idle, .asking, .removing, .stopped: return []
        }
    }

    package mutating func handle(_ datagram: [UInt8], now: NetworkInstant) -> [Action] {
        if let response = PCP.response(datagram) { return handle(response, now: now) }
        if let response = NATPMP.response(datagram) { return handle(response, now: now) }
        return []
    }

    /// Nothing listens at the gateway's port (ICMP port unreachable).
    package mutating func handleUnreachable(now: NetworkInstant) -> [Action] {
        switch state {
        case .asking(let attempt, nil) where attempt.kind != .upnp: return ask(by: .upnp, held: nil, now: now)
        case .removing(let attempt, _) where attempt.kind != .upnp: state = .stopped
        default: break
        }
        return []
    }

    package mutating func handleUPnP(_ result: UPnPResult, now: NetworkInstant) -> [Action] {
        switch (state, result) {
        case (.removing(let attempt, _), _) where attempt.kind == .upnp:
            state = .stopped
            return []
        case (.asking(let attempt, _), .mapped(let port, let address)) where attempt.kind == .upnp:
            return hold(.upnp, externalPort: port, address: address, lifetime: Self.lifetime, now: now)
        case (.asking(let attempt, _), .refused), (.asking(let attempt, _), .noGateway):
            return attempt.kind == .upnp ? fail(now: now) : []
        default: return []
        }
    }

    package mutating func timerFired(now: NetworkInstant) -> [Action] {
        guard let wake, wake <= now else { return [] }
        switch state {
        case .idle, .stopped: return []
        case .mapped(let held): return ask(by: held.mapping.kind, held: held, now: now)
        case .resting: return ask(by: preferred, held: nil, now: now)
        case .asking(var attempt, let held):
            guard attempt.kind != .upnp, attempt.transmissions < Self.transmissions else {
                return giveUp(attempt, held, now: now)
            }
            back(&attempt, now: now)
            state = .asking(attempt, held: held)
            return requests(by: attempt.kind, held: held)
        case .removing(var attempt, let held):
            guard attempt.kind != .upnp, attempt.transmissions < Self.transmissions else {
                state = .stopped
                return []
            }
            back(&attempt, now: now)
            state = .removing(attempt, held)
            return [removal(by: attempt.kind, externalPort: held.mapping.externalPort)]
        }
    }

    private func back(_ attempt: inout Attempt, now: NetworkInstant) {
        attempt.deadline = now.advanced(by: Self.initialTimeout * (1 << attempt.transmissions))
        attempt.transmissions += 1
    }

    // MARK: Answers

    private mutating func handle(_ response: PCP.Response, now: NetworkInstant) -> [Action] {
        let isContinued = epoch.isContinued(by: response.epoch, now: now)
        guard let map = response.map, map.nonce == nonce, map.internalPort == internalPort else {
            return isContinued ? [] : restart(now: now)
        }
        switch state {
        case .removing(let attempt, _) where attempt.kind == .pcp:
            state = .stopped
            return []
        case .asking(let attempt, _) where attempt.kind == .pcp:
            guard response.result == PCP.Result.success, map.external.port != 0, response.lifetime > 0 else {
                return next(after: .pcp, now: now)
            }
            return hold(
                .pcp, externalPort: map.external.port, address: map.external.ip, lifetime: response.lifetime, now: now)
        default: return []
        }
    }

    private mutating func handle(_ response: NATPMP.Response, now: NetworkInstant) -> [Action] {
        switch response {
        case .failure(_, let code, let epoch):
            _ = self.epoch.isContinued(by: epoch, now: now)
            // A gateway without PCP answers so (RFC 6887 appendix A): NAT-PMP is what it speaks.
            if case .asking(let attempt, _) = state, attempt.kind == .pcp, code == PCP.Result.unsupportedVersion {
                return ask(by: .natPMP, held: nil, now: now)
            }
            if case .asking(let attempt, _) = state, attempt.kind == .natPMP { return next(after: .natPMP, now: now) }
            return []
        case .address(let address, let epoch):
            let isContinued = self.epoch.isContinued(by: epoch, now: now)
            natPMPAddress = address
            return isContinued ? updateAddress(address) : restart(now: now)
        case .map(let port, let externalPort, let lifetime, let epoch):
            _ = self.epoch.isContinued(by: epoch, now: now)
            guard port == internalPort else { return [] }
            return handleNATPMPMap(externalPort: externalPort, lifetime: lifetime, now: now)
        }
    }

    private mutating func handleNATPMPMap(externalPort: UInt16, lifetime: UInt32, now: NetworkInstant) -> [Action] {
        switch state {
        case .removing(let attempt, _) where attempt.kind == .natPMP:
            state = .stopped
            return []
        case .asking(let attempt, _) where attempt.kind == .natPMP && externalPort != 0 && lifetime > 0:
            return hold(.natPMP, externalPort: externalPort, address: natPMPAddress, lifetime: lifetime, now: now)
        default: return []
        }
    }

    /// NAT-PMP tells address and port in two answers, in any order.
    private mutating func updateAddress(_ address: IPAddress) -> [Action] {
        guard case .mapped(var held) = state, held.mapping.kind == .natPMP, held.mapping.externalAddress != address
        else { return [] }
        held.mapping = PortMapping(
            kind: .natPMP, internalPort: internalPort, externalPort: held.mapping.externalPort,
            externalAddress: address)
        state = .mapped(held)
        return [.changed(held.mapping)]
    }

    /// The gateway lost its state: what it held for us is gone.
    private mutating func restart(now: NetworkInstant) -> [Action] {
        guard case .mapped(let held) = state else { return [] }
        return ask(by: held.mapping.kind, held: held, now: now)
    }

    // MARK: Transitions

    private mutating func hold(
        _ kind: PortMappingProtocol, externalPort: UInt16, address: IPAddress?, lifetime: UInt32, now: NetworkInstant
    ) -> [Action] {
        let before = held?.mapping
        let mapping = PortMapping(
            kind: kind, internalPort: internalPort, externalPort: externalPort, externalAddress: address)
        let seconds = Int64(min(max(lifetime, Self.lifetimes.lowerBound), Self.lifetimes.upperBound))
        state = .mapped(
            Held(
                mapping: mapping, renewAt: now.advanced(by: .seconds(seconds) / 2),
                expiresAt: now.advanced(by: .seconds(seconds))))
        nextRest = Self.firstRest
        return before == mapping ? [] : [.changed(mapping)]
    }

    private mutating func ask(by kind: PortMappingProtocol, held: Held?, now: NetworkInstant) -> [Action] {
        // UPnP's own calls have their time limits; this one only guards against a shell that forgets to answer.
        let timeout = kind == .upnp ? Duration.seconds(30) : Self.initialTimeout
        state = .asking(Attempt(kind: kind, deadline: now.advanced(by: timeout)), held: held)
        return requests(by: kind, held: held)
    }

    /// The next protocol after one that refused or kept silent; a mapping that could not be renewed is gone.
    private mutating func next(after kind: PortMappingProtocol, now: NetworkInstant) -> [Action] {
        let lost: [Action] = held == nil ? [] : [.changed(nil)]
        switch kind {
        case .pcp: return lost + ask(by: .natPMP, held: nil, now: now)
        case .natPMP: return lost + ask(by: .upnp, held: nil, now: now)
        case .upnp: return lost + fail(now: now)
        }
    }

    private mutating func giveUp(_ attempt: Attempt, _ held: Held?, now: NetworkInstant) -> [Action] {
        guard var held, held.expiresAt > now else { return next(after: attempt.kind, now: now) }
        // Unanswered renewals: again at half of what is left.
        let left = held.expiresAt.duration(since: now)
        held.renewAt = min(now.advanced(by: max(left / 2, Self.leastRenewal)), held.expiresAt)
        state = .mapped(held)
        return []
    }

    private mutating func fail(now: NetworkInstant) -> [Action] {
        let lost: [Action] = held == nil ? [] : [.changed(nil)]
        let rest = nextRest
        nextRest = min(rest * 2, Self.longestRest)
        state = .resting(until: now.advanced(by: rest), next: nextRest)
        return lost
    }

    // MARK: Requests

    private func requests(by kind: PortMappingProtocol, held: Held?) -> [Action] {
        let port = held?.mapping.externalPort ?? internalPort
        switch kind {
        case .pcp: return [.send(mapRequest(lifetime: Self.lifetime, port: port, held?.mapping.externalAddress))]
        case .natPMP:
            let map = NATPMP.mapRequest(internalPort: internalPort, suggested: port, lifetime: Self.lifetime)
            return [.send(NATPMP.addressRequest), .send(map)]
        case .upnp: return [.addByUPnP(externalPort: port, internalPort: internalPort, lifetime: Self.lifetime)]
        }
    }

    private func removal(by kind: PortMappingProtocol, externalPort: UInt16) -> Action {
        switch kind {
        case .pcp: .send(mapRequest(lifetime: 0, port: 0, nil))
        case .natPMP: .send(NATPMP.mapRequest(internalPort: internalPort, suggested: 0, lifetime: 0))
        case .upnp: .removeByUPnP(externalPort: externalPort)
        }
    }

    private func mapRequest(lifetime: UInt32, port: UInt16, _ address: IPAddress?) -> [UInt8] {
        // No wish is the all-zeros address of the right family (RFC 6887 section 11.1).
        let any = client.family == .v4 ? IPAddress.v4Any : .v6Any
        return PCP.MapRequest(
            client: client, nonce: nonce, internalPort: internalPort,
            suggested: SocketAddress(address ?? any, port: port), lifetime: lifetime
        ).bytes
    }
}
