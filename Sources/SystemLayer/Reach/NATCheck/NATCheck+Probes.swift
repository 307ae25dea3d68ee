internal import DeP2PIdentity
internal import DeP2PReactor

/// What each test sends.
extension NATCheckStateMachine {
    mutating func nextProbes(now: NetworkInstant) -> [Probe] {
        guard !report.observations.isEmpty else { return [] }
        switch stage {
        case .survey, .finished: return []
        case .alternates: return alternates().map { probe(.second, $0, now: now) }
        case .baseline: return [probe(.first, base, now: now)]
        case .filteringByAddress: return filteringProbe(changesAddress: true, now: now)
        case .filteringByPort:
            // An address that is let in may still depend on its port.
            guard report.filtering == .endpointDependent || report.filtering == nil else { return [] }
            let test = filteringProbe(changesAddress: false, now: now)
            guard let port = secondPort, !test.isEmpty, !samples.contains(where: { $0.destination == port }) else {
                return test
            }
            return test + [probe(.second, port, now: now)]
        case .hairpin: return hairpinProbes(now: now)
        case .sizes: return report.mapped == nil ? [] : sizeProbes(now: now)
        case .burst: return burstProbes(now: now)
        }
    }

    /// The observer that the first socket writes to: one that can test filtering alone, else one with a second port.
    private var base: SocketAddress {
        let answered = report.observations.map(\.observer)
        return answered.first { others[$0] != nil } ?? answered.first { alternatePorts[$0] != nil }
            ?? answered.first { one in answered.contains { $0.ip == one.ip && $0.port != one.port } }
            ?? answered[0]
    }

    /// The second port of the observer that the first socket writes to, where that tells one.
    var secondPort: SocketAddress? {
        guard let port = others[base]?.port ?? alternatePorts[base] else { return nil }
        return SocketAddress(base.ip, port: port, scope: base.scope)
    }

    /// The other three sockets of each RFC 5780 server, the second one of each node.
    private func alternates() -> [SocketAddress] {
        var targets: [SocketAddress] = []
        for (observer, other) in others.sorted(by: { $0.key.description < $1.key.description }) {
            let corners = [
                SocketAddress(observer.ip, port: other.port), SocketAddress(other.ip, port: observer.port), other,
            ]
            for corner in corners where !observers.contains(corner) && !targets.contains(corner) {
                targets.append(corner)
            }
        }
        for (observer, port) in alternatePorts.sorted(by: { $0.key.description < $1.key.description }) {
            let target = SocketAddress(observer.ip, port: port, scope: observer.scope)
            if !observers.contains(target), !targets.contains(target) { targets.append(target) }
        }
        return Array(targets.prefix(Self.maximumObservers))
    }

    private mutating func filteringProbe(changesAddress: Bool, now: NetworkInstant) -> [Probe] {
        guard let mapped = report.mapped else { return [] }
        if others[base] != nil || (alternatePorts[base] != nil && !changesAddress) {
            let change = STUNAttribute.changeRequest(address: changesAddress, port: true)
            var probe = probe(.first, base, [change], now: now)
            (probe.changesAddress, probe.changesPort) = (changesAddress, true)
            return [probe]
        }
        let helper = report.observations.first { observation in
            let observer = observation.observer
            let isStranger =
                changesAddress ? observer.ip != base.ip : observer.ip == base.ip && observer.port != base.port
            // RESPONSE-PORT reaches the first socket only where both share an external address.
            return isStranger && observation.mapped.ip == mapped.ip
        }
        guard let helper else { return [] }
        var probe = probe(.second, helper.observer, [.responsePort(mapped.port)], now: now)
        probe.receiver = .first
        return [probe]
    }

    /// Both sockets write to each other's external address, so that filtering does not hide hairpinning.
    private mutating func hairpinProbes(now: NetworkInstant) -> [Probe] {
        guard report.isTranslated == true, report.mapping == .endpointIndependent, let mapped = report.mapped,
            let second = report.observations.first?.mapped
        else { return [] }
        return [probe(.first, second, now: now), probe(.second, mapped, now: now)]
    }

    private mutating func sizeProbes(now: NetworkInstant) -> [Probe] {
        let headers = base.ip.family == .v4 ? 28 : 48
        // Another too: who answers small requests alone, for reasons of its own, is no narrow path.
        let second = report.observations.map(\.observer).first { $0.ip != base.ip }
        return [base, second].compactMap(\.self).flatMap { observer in
            (Self.packetSizes + [Self.quicPayload + headers]).map { sizeProbe($0, headers, to: observer, now: now) }
        }
    }

    private mutating func sizeProbe(
        _ size: Int, _ headers: Int, to observer: SocketAddress, now: NetworkInstant
    ) -> Probe {
        // Message header, padding's own header, FINGERPRINT.
        let padding = size - headers - STUNMessage.headerLength - 4 - STUNFingerprint.attributeLength
        var probe = probe(.first, observer, [.padding(padding & ~3)], now: now)
        probe.packetSize = size
        return probe
    }

    /// Only to a node, whose own limits let that many through.
    private mutating func burstProbes(now: NetworkInstant) -> [Probe] {
        guard let target = report.observations.map(\.observer).first(where: { alternatePorts[$0] != nil }) else {
            return []
        }
        return (0..<Self.burst).map { _ in probe(.second, target, timing: Self.burstTiming, now: now) }
    }

    mutating func probe(
        _ socket: Socket, _ destination: SocketAddress, _ attributes: [STUNAttribute] = [],
        timing: STUNTransaction.Timing = Self.timing, now: NetworkInstant
    ) -> Probe {
        let id = STUNTransactionID(high: UInt32(truncatingIfNeeded: random.next()), low: random.next())
        let request = STUNMessage.bindingRequest(id, attributes)
        let transaction = STUNTransaction(request, timing: timing, now: now)
        return Probe(socket: socket, destination: destination, transaction: transaction, receiver: socket)
    }

    func transmissions(_ probes: [Probe]) -> [Transmission] {
        probes.map {
            Transmission(bytes: $0.transaction.request.bytes, socket: $0.socket, destination: $0.destination)
        }
    }
}

extension NATCheckStateMachine.Probe {
    var binding: STUNBinding? {
        if case .answered(let binding) = outcome { binding } else { nil }
    }

    /// Whether the observer did as asked; one that ignores an attribute answers from and to the usual place.
    func accepts(_ source: SocketAddress, on socket: NATCheckStateMachine.Socket) -> Bool {
        socket == receiver && (source.ip != destination.ip) == changesAddress
            && (source.port != destination.port) == changesPort
    }

    /// Whether the request arrived: an observer that refuses padding has still received it.
    var isDelivered: Bool { binding != nil || outcome == .refused }
}
