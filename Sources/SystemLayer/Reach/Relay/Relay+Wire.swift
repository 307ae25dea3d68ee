internal import DeP2PIdentity
internal import DeP2PWire
internal import FoundationEssentials
internal import SwiftProtobuf

/// A circuit as a relay grants it to one side.
struct CircuitGrant: Equatable {
    let id: UInt64
    let terms: RelayTerms
    /// What fits for certain, without the frame's header; `nil` when it has to be discovered.
    let datagramSize: Int?
    /// Whether the relay understands ``RelayMessage/confirm``; told to targets.
    var confirms = false
}

/// The messages of /dep2p/sys/relay/1.0.0.
enum RelayMessage: Equatable {
    /// The longest frame taken, in bytes.
    static let limit = 1_024
    /// The longest name of a limit, in bytes.
    static let nameLimit = 64

    case reserve
    case connect(NodeID)
    case reservation(time: Duration, RelayTerms)
    case circuit(CircuitGrant)
    case refusal(RelayError)
    case incoming(NodeID, CircuitGrant)
    case ended(CircuitEnd)
    case answer(Bool)
    /// The target knows who is at the other end, and keeps the circuit.
    case confirm
}

extension RelayMessage {
    func encoded() throws -> [UInt8] {
        var message = Dep2p_Relay_Message()
        switch self {
        case .reserve: message.reserve = Dep2p_Relay_Reserve()
        case .connect(let target): message.connect.target = Data(target.bytes)
        case .reservation(let time, let terms):
            message.reservation.seconds = UInt64(clamping: time.components.seconds)
            message.reservation.limits = terms.message
        case .circuit(let grant): message.circuit = grant.message
        case .refusal(let error): message.refusal = error.message
        case .incoming(let source, let grant):
            message.incoming.source = Data(source.bytes)
            message.incoming.circuit = grant.message
            message.incoming.confirms = grant.confirms
        case .ended(let end): message.ended = end.message
        case .answer(let accepted): message.answer.accepted = accepted
        case .confirm: message.confirm = Dep2p_Relay_Confirm()
        }
        return try message.serializedBytes()
    }

    /// - Throws: ``RelayError`` `malformed`.
    init(decoding bytes: [UInt8]) throws(RelayError) {
        // The decoder's own words say no more than the error does.
        guard let message = try? Dep2p_Relay_Message(serializedBytes: bytes), let body = message.body else {
            throw RelayError(.malformed)
        }
        switch body {
        case .reserve: self = .reserve
        case .connect(let connect): self = .connect(try Self.nodeID(connect.target))
        case .reservation(let reservation):
            guard reservation.seconds > 0 else { throw RelayError(.malformed) }
            self = .reservation(
                time: .seconds(Int64(clamping: min(reservation.seconds, RelayTerms.longest))),
                RelayTerms(reservation.limits))
        case .circuit(let circuit): self = .circuit(CircuitGrant(circuit))
        case .refusal(let refusal): self = .refusal(RelayError(refusal))
        case .incoming(let incoming):
            var grant = CircuitGrant(incoming.circuit)
            grant.confirms = incoming.confirms
            self = .incoming(try Self.nodeID(incoming.source), grant)
        case .ended(let ended): self = .ended(CircuitEnd(ended))
        case .answer(let answer): self = .answer(answer.accepted)
        case .confirm: self = .confirm
        }
    }

    private static func nodeID(_ data: Data) throws(RelayError) -> NodeID {
        // The decoder's own words say no more than the error does.
        guard let id = try? NodeID(bytes: [UInt8](data)) else { throw RelayError(.malformed) }
        return id
    }

    /// A name out of a message, as far as it may be shown.
    fileprivate static func name(_ text: String) -> String {
        String(
            text.utf8.prefix(nameLimit).map { Character(UnicodeScalar($0)) }.filter {
                $0.isASCII && ($0.isLetter || $0 == "-")
            })
    }
}

extension RelayTerms {
    /// Seconds beyond which a duration is taken for this one: 100 years.
    fileprivate static let longest: UInt64 = 100 * 365 * 86_400

    /// A time as the wire has it, rounded up: 0 would be no limit.
    static func wholeSeconds(_ time: Duration) -> UInt64 {
        let (seconds, rest) = time.components
        return UInt64(clamping: seconds) + (rest > 0 ? 1 : 0)
    }

    fileprivate var message: Dep2p_Relay_Limits {
        var limits = Dep2p_Relay_Limits()
        limits.bytes = bytes ?? 0
        limits.bytesPerSecond = bytesPerSecond ?? 0
        limits.seconds = time.map(Self.wholeSeconds) ?? 0
        limits.circuits = circuits.map { UInt32(clamping: $0) } ?? 0
        return limits
    }

    fileprivate init(_ limits: Dep2p_Relay_Limits) {
        self.init(
            bytes: limits.bytes == 0 ? nil : limits.bytes,
            bytesPerSecond: limits.bytesPerSecond == 0 ? nil : limits.bytesPerSecond,
            time: limits.seconds == 0 ? nil : .seconds(Int64(clamping: min(limits.seconds, Self.longest))),
            circuits: limits.circuits == 0 ? nil : Int(limits.circuits))
    }
}

extension CircuitGrant {
    fileprivate var message: Dep2p_Relay_Circuit {
        var circuit = Dep2p_Relay_Circuit()
        circuit.id = id
        circuit.limits = terms.message
        circuit.maxDatagram = datagramSize.map { UInt32(clamping: $0) } ?? 0
        return circuit
    }

    fileprivate init(_ circuit: Dep2p_Relay_Circuit) {
        id = circuit.id
        terms = RelayTerms(circuit.limits)
        datagramSize = circuit.maxDatagram == 0 ? nil : Int(circuit.maxDatagram)
    }
}

extension RelayError {
    fileprivate var message: Dep2p_Relay_Refusal {
        var refusal = Dep2p_Relay_Refusal()
        refusal.status =
            switch code {
            case .noReservation: .noReservation
            case .limitReached: .limitReached
            case .notAllowed: .notAllowed
            case .refusedByTarget: .refusedByTarget
            case .malformed: .malformed
            case .stopping: .stopping
            case .notARelay: .notARelay
            }
        if let limit {
            refusal.limit = limit.name
            refusal.value = limit.maximum
        }
        return refusal
    }

    fileprivate init(_ refusal: Dep2p_Relay_Refusal) {
        switch refusal.status {
        case .noReservation: self.init(.noReservation)
        case .limitReached:
            self.init(.limitReached, limit: Limit(name: RelayMessage.name(refusal.limit), maximum: refusal.value))
        case .notAllowed: self.init(.notAllowed)
        case .refusedByTarget: self.init(.refusedByTarget)
        case .stopping: self.init(.stopping)
        case .notARelay: self.init(.notARelay)
        case .malformed, .unspecified, .UNRECOGNIZED: self.init(.malformed)
        }
    }
}

extension CircuitEnd {
    fileprivate var message: Dep2p_Relay_Ended {
        var ended = Dep2p_Relay_Ended()
        switch self {
        case .closed: ended.reason = .closed
        case .stopping: ended.reason = .stopping
        case .unused: ended.reason = .unused
        case .limit(let name, let used, let maximum):
            ended.reason = .limit
            ended.limit = name
            ended.used = used
            ended.maximum = maximum
        }
        return ended
    }

    fileprivate init(_ ended: Dep2p_Relay_Ended) {
        switch ended.reason {
        case .limit: self = .limit(RelayMessage.name(ended.limit), used: ended.used, maximum: ended.maximum)
        case .stopping: self = .stopping
        case .unused: self = .unused
        case .closed, .unspecified, .UNRECOGNIZED: self = .closed
        }
    }
}
