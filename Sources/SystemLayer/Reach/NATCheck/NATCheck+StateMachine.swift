internal import DeP2PIdentity
package import DeP2PReactor
internal import DeP2PSessions

/// The tests of RFC 5780 over one address family, with any number of observers.
///
/// Two sockets take part. The second surveys all observers, which shows the mapping behaviour; the first is kept
/// fresh: until the filtering tests it has sent to one observer only. A classic RFC 5780 server proves filtering by
/// answering a CHANGE-REQUEST from elsewhere; two plain observers do it together: the second socket asks one that the
/// first never wrote to for a response to the first one's external port (RESPONSE-PORT). A dep2p node answers from a
/// second port too, which tells what depends on ports.
///
/// States, in order: survey → alternates → baseline → filtering by address → filtering by port → hairpin → packet
/// sizes → burst → finished; a test that the observers do not allow is passed over. Calling order: `start(now:)`, then
/// `handle(_:on:from:now:)` for every datagram and `timerFired(now:)` at ``wake``, until ``isFinished``; each
/// returns the datagrams to send.
package struct NATCheckStateMachine: TimedMachine, Sendable {
    package typealias Action = Transmission

    package enum Socket: Hashable, Sendable { case first, second }

    package struct Transmission: Equatable, Sendable {
        package let bytes: [UInt8]
        package let socket: Socket
        package let destination: SocketAddress
    }

    /// Most observers asked.
    package static let maximumObservers = 8
    /// Silence for 1 s means no.
    static let timing = STUNTransaction.Timing(initialTimeout: .milliseconds(200), transmissions: 3, finalFactor: 2)
    /// IP packet sizes tried: Ethernet, common tunnels, and the least that IPv6 allows.
    static let packetSizes = [1500, 1420, 1280]
    /// RFC 9000 14: the UDP payload that every path of QUIC carries; tried too.
    static let quicPayload = 1_200
    /// Requests sent at once to see whether UDP is throttled, and how long their responses are waited for.
    static let burst = 32
    static let burstTiming = STUNTransaction.Timing(initialTimeout: .seconds(1), transmissions: 1, finalFactor: 1)

    enum Stage: Int {
        case survey, alternates, baseline, filteringByAddress, filteringByPort, hairpin, sizes, burst, finished
    }

    enum Outcome: Equatable {
        case pending
        case answered(STUNBinding)
        case refused
        case silent
    }

    struct Probe {
        let socket: Socket
        let destination: SocketAddress
        var transaction: STUNTransaction
        /// Where the response has to arrive, and from where, for the test to count.
        var receiver: Socket
        var changesAddress = false
        var changesPort = false
        var outcome = Outcome.pending
        /// Whether anything came from there.
        var wasHeard = false
        var isUnreachable = false
        /// The packet's whole size, when that is what is tested.
        var packetSize = 0
    }

    package private(set) var report = NATFamilyReport()
    let observers: [SocketAddress]
    private let ownSecondPort: UInt16
    private let scope: NATCheck.Scope
    var random: any RandomNumberGenerator & Sendable
    private(set) var stage = Stage.survey
    private var probes: [Probe] = []
    private(set) var samples: [NATBehaviour.Sample] = []
    /// The other address and port of RFC 5780 servers, and the second ports of dep2p nodes.
    private(set) var others: [SocketAddress: SocketAddress] = [:]
    private(set) var alternatePorts: [SocketAddress: UInt16] = [:]
    private var hairpinSeen = false
    /// False once a retransmitted request may have made its mapping out of order.
    private var samplesAreInOrder = true

    /// - Parameters:
    ///   - observers: addresses of one family; two different IP addresses at least for the mapping, two ports of one
    ///     address for what depends on ports.
    ///   - first, second: the sockets' own addresses, as an observer would see them without translation.
    package init(
        observers: [SocketAddress], first: SocketAddress, second: SocketAddress,
        scope: NATCheck.Scope = .everything, random: any RandomNumberGenerator & Sendable
    ) {
        self.scope = scope
        var seen: Set<SocketAddress> = []
        self.observers = Array(observers.filter { seen.insert($0).inserted }.prefix(Self.maximumObservers))
        ownSecondPort = second.port
        self.random = random
        report.asked = self.observers.count
        report.local = first
    }

    package var isFinished: Bool { stage == .finished }

    package var wake: NetworkInstant? { probes.compactMap(\.transaction.deadline).min() }

    package mutating func start(now: NetworkInstant) -> [Transmission] {
        probes = observers.map { probe(.second, $0, now: now) }
        return advanceIfDone(sending: transmissions(probes), now: now)
    }

    package mutating func handle(
        _ datagram: [UInt8], on socket: Socket, from source: SocketAddress, now: NetworkInstant
    ) -> [Transmission] {
        guard !isFinished else { return [] }
        for index in probes.indices where probes[index].destination == source { probes[index].wasHeard = true }
        // Anything may come to this port: what is not STUN is nobody's.
        guard let message = try? STUNMessage(datagram) else { return [] }
        if message.kind == .request {
            // Our own request, come back through the NAT.
            let isOwn = probes.contains { $0.transaction.request.transaction == message.transaction }
            guard stage == .hairpin, isOwn else { return [] }
            hairpinSeen = true
            return advance(now: now)
        }
        for index in probes.indices where probes[index].outcome == .pending {
            switch probes[index].transaction.handle(message, from: source, now: now) {
            case .ignore: continue
            case .succeeded(let binding):
                let isUsable =
                    probes[index].accepts(source, on: socket) && Self.isPossible(binding.mapped, by: source.ip)
                probes[index].outcome = isUsable ? .answered(binding) : .refused
            case .failed: probes[index].outcome = .refused
            }
            return advanceIfDone(sending: [], now: now)
        }
        return []
    }

    /// Nothing listens there, as its machine says, or a firewall on the way: which, nobody can tell.
    package mutating func unreachable(_ destination: SocketAddress, now: NetworkInstant) -> [Transmission] {
        guard !isFinished else { return [] }
        for index in probes.indices
        where probes[index].outcome == .pending && probes[index].destination == destination {
            (probes[index].outcome, probes[index].isUnreachable) = (.refused, true)
        }
        return advanceIfDone(sending: [], now: now)
    }

    /// Whether a node can have that address for an observer: whose own is global sees global ones alone.
    private static func isPossible(_ mapped: SocketAddress, by observer: IPAddress) -> Bool {
        mapped.port != 0 && mapped.ip.family == observer.family && AddressRule.isHost(mapped.ip)
            && (mapped.ip.isGlobal || !observer.isGlobal)
    }

    package mutating func timerFired(now: NetworkInstant) -> [Transmission] {
        var resent: [Probe] = []
        for index in probes.indices where probes[index].outcome == .pending {
            switch probes[index].transaction.handleTimer(now: now) {
            case .wait: break
            case .retransmit: resent.append(probes[index])
            case .timedOut: probes[index].outcome = .silent
            }
        }
        return advanceIfDone(sending: transmissions(resent), now: now)
    }

    // MARK: From test to test

    private mutating func advanceIfDone(sending: [Transmission], now: NetworkInstant) -> [Transmission] {
        guard !isFinished, probes.allSatisfy({ $0.outcome != .pending }) else { return sending }
        return sending + advance(now: now)
    }

    /// Ends the stage, and begins the next one that has something to send.
    private mutating func advance(now: NetworkInstant) -> [Transmission] {
        while true {
            conclude()
            stage = next
            probes = stage == .finished ? [] : nextProbes(now: now)
            if stage == .finished || !probes.isEmpty { return transmissions(probes) }
        }
    }

    private var next: Stage {
        switch (scope, stage) {
        case (.filtering, .survey): .baseline
        case (.filtering, .filteringByPort): .finished
        default: Stage(rawValue: stage.rawValue + 1) ?? .finished
        }
    }

    private mutating func conclude() {
        switch stage {
        case .survey, .alternates: concludeSurvey()
        case .baseline: concludeBaseline()
        case .filteringByAddress: concludeFiltering(.endpointIndependent, otherwise: .endpointDependent)
        case .filteringByPort: concludeFilteringByPort()
        case .hairpin: report.hairpin = probes.isEmpty ? nil : hairpinSeen
        case .sizes:
            report.mtu = probes.filter(\.isDelivered).map(\.packetSize).max()
            // One observer's silence may be its own.
            let isKnown = report.mtu != nil || Set(probes.map(\.destination.ip)).count > 1
            report.isNarrow = isKnown ? report.mtu == nil : nil
        case .burst: report.burstAnswered = probes.isEmpty ? nil : probes.count { $0.binding != nil }
        case .finished: break
        }
    }

    /// Who did not answer, and what is to be made of those who did.
    private mutating func judgeObservers() {
        let unanswered = probes.filter { $0.binding == nil }
        let told = Set(probes.filter { $0.binding != nil || $0.wasHeard || $0.isUnreachable }.map(\.destination.ip))
        report.unusable = unanswered.count(where: \.wasHeard)
        report.silentHosts = Set(unanswered.map(\.destination.ip)).subtracting(told).count
    }

    private mutating func concludeSurvey() {
        if stage == .survey { judgeObservers() }
        for case (let probe, let binding?) in probes.map({ ($0, $0.binding) }) {
            samples.append(NATBehaviour.Sample(destination: probe.destination, mapped: binding.mapped))
            if stage == .survey {
                report.observations.append(
                    .init(observer: probe.destination, mapped: binding.mapped, roundTrip: binding.elapsed))
                if let other = binding.other, AddressRule.isPlausible(other.ip, by: probe.destination.ip) {
                    others[probe.destination] = other
                }
                alternatePorts[probe.destination] = binding.alternatePort
            }
        }
        let credible = NATBehaviour.credible(samples)
        let liars = Set(samples.map(\.destination.ip)).subtracting(credible.map(\.destination.ip))
        report.outvoted = liars.count
        report.observations.removeAll { liars.contains($0.observer.ip) }
        others = others.filter { !liars.contains($0.key.ip) }
        alternatePorts = alternatePorts.filter { !liars.contains($0.key.ip) }
        report.mapping = NATBehaviour.mapping(credible)
        if probes.contains(where: { ($0.binding?.elapsed ?? .zero) >= Self.timing.initialTimeout }) {
            samplesAreInOrder = false
        }
        let allocation = NATBehaviour.allocation(credible, local: ownSecondPort, mapping: report.mapping)
        report.allocation = samplesAreInOrder ? allocation : nil
    }

    private mutating func concludeBaseline() {
        report.mapped = probes.first?.binding?.mapped
        guard report.isTranslated == false else { return }
        report.allocation = nil
    }

    private mutating func concludeFiltering(_ open: NATFiltering, otherwise closed: NATFiltering) {
        guard let probe = probes.first else { return }
        switch probe.outcome {
        case .answered: report.filtering = open
        case .silent: report.filtering = closed
        case .refused, .pending: break
        }
    }

    /// A second port that is kept out settles it even where no other address could be tried; one that is let in does
    /// not say whether another address is. Silence says something only of a port from which an answer came otherwise: to who
    /// asked there. That of another observer at the same address has answered already.
    private mutating func concludeFilteringByPort() {
        guard let test = probes.first else { return }
        switch test.outcome {
        case .answered where report.filtering != nil: report.filtering = .addressDependent
        case .silent where test.socket == .second || hasHeardSecondPort: report.filtering = .addressAndPortDependent
        case .answered, .silent, .refused, .pending: break
        }
    }

    private var hasHeardSecondPort: Bool {
        guard let port = secondPort else { return false }
        return samples.contains { $0.destination == port }
            || probes.dropFirst().contains { $0.destination == port && $0.binding != nil }
    }
}
