import DeP2P

/// Says what becomes of a listener's reservations with its relays: why one was refused, once for each reason.
@NetworkActor
final class RelayReport {
    private let output: Output
    /// What happens before the addresses are told is told after them.
    private var waiting: [RelayClient.Event]? = []
    private var refusals: [Address: String] = [:]

    init(_ output: Output, _ events: EventReader) {
        self.output = output
        events.observe { [self] event in
            guard case .relay(let event) = event else { return }
            if waiting == nil { tell(event) } else { waiting?.append(event) }
        }
    }

    /// From now on, and all that has happened but for reservations: those are in the addresses.
    func begin() {
        let events = waiting ?? []
        waiting = nil
        for event in events {
            if case .reserved = event { continue }
            tell(event)
        }
    }

    private func tell(_ event: RelayClient.Event) {
        switch event {
        case .reserved(let standing):
            for address in refusals.keys where address.nodeID == standing.relay { refusals[address] = nil }
            report(standing.address, "reserved", nil)
            output.note("listening on \(standing.address)")
        case .lost(let relay):
            report(relay, "lost", nil)
            output.note("lost the relay \(relay)")
        case .refused(let relay, let reason, let remedy):
            let text = TerminalText.escape(reason + (remedy.map { "; \($0.hint)" } ?? ""))
            // It is asked again and again.
            guard refusals[relay] != reason else { return output.detail("\(relay): \(text)") }
            refusals[relay] = reason
            report(relay, "refused", reason)
            output.note("no reservation with the relay \(relay): \(text)")
        case .circuitEnded(_, let end): output.detail("a relayed connection ended: \(end)")
        }
    }

    private func report(_ relay: Address, _ state: String, _ reason: String?) {
        output.event(
            "relay", [.string("relay", "\(relay)"), .string("state", state), .string("reason", reason)])
    }
}
