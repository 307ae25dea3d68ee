internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// A circuit that this node asked a relay for, and the stream that stands for it.
@NetworkActor
final class CircuitWay {
    let leg: RelayLeg
    let circuit: UInt64
    /// Where the relay was reached, to be looked for there again.
    let relayAddresses: [Address]
    private let stream: NegotiatedStream
    /// How the relay ended it, once it has.
    var ended: CircuitEnd?

    init(_ leg: RelayLeg, circuit: UInt64, stream: NegotiatedStream, at relayAddresses: [Address]) {
        (self.leg, self.circuit, self.stream, self.relayAddresses) = (leg, circuit, stream, relayAddresses)
    }

    /// Fresh addresses, to come back to it from another path; `nil` once the circuit is gone.
    func renew() -> RelayLeg.Ends? { leg.renew(circuit) }

    func end() {
        leg.close(circuit)
        stream.finish()
        stream.stopReading(StreamCode.done.rawValue)
    }
}
