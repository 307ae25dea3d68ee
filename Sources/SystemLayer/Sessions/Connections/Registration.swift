internal import DeP2PReactor
internal import DeP2PWire

/// An object: each stream passes it on.
final class Registration: Sendable {
    let deadline: StreamDeadline
    let handler: StreamHandler
    let name: String
    let gate: Gate
    let isAdmission: Bool
    /// What a dialer says that proposes this protocol first, and a listener that agrees: the same bytes.
    let flight: [UInt8]

    init(_ name: String, _ deadline: StreamDeadline, _ handler: @escaping StreamHandler) {
        (self.name, self.deadline, self.handler) = (name, deadline, handler)
        gate = ProtocolRegistry.gate(of: name)
        isAdmission = name == ProtocolRegistry.admissionID
        flight = MultistreamDialer([name]).firstFlight
    }
}
