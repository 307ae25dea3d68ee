internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions
internal import DeP2PWire
internal import FoundationEssentials
internal import SwiftProtobuf

/// The messages of /dep2p/sys/holepunch/1.0.0.
enum HolePunchMessage: Equatable {
    /// The longest frame taken, in bytes.
    static let limit = 2_048
    static let hostMarkLength = 16

    struct Offer: Equatable {
        let candidates: [Candidate]
        let hostMark: [UInt8]
        /// How the sender's NAT gives out ports; told by who would guess.
        var mapping: MappedPorts?
    }

    /// Where the sender is, and by whom the other is to show where it is itself.
    struct Guess: Equatable {
        /// Whether the sender is to open many sockets, and the other to guess ports.
        let opens: Bool
        var witness: SocketAddress?
        /// The sender's address, with what the other's witness has written for it.
        var proven: Proven?
    }

    struct Proven: Equatable {
        let address: SocketAddress
        let proof: [UInt8]
    }

    case offer(Offer)
    case answer(Offer)
    case start
    case chosen(SocketAddress, isDirect: Bool)
    case ask
    case guess(Guess)
}

extension HolePunchMessage {
    func encoded() throws -> [UInt8] {
        var message = Dep2p_Holepunch_Message()
        switch self {
        case .offer(let offer): message.offer = offer.message
        case .answer(let offer): message.answer = offer.message
        case .start: message.start = Dep2p_Holepunch_Start()
        case .chosen(let address, let isDirect):
            message.chosen.ip = Data(address.ip.bytes)
            message.chosen.port = UInt32(address.port)
            message.chosen.direct = isDirect
        case .ask: message.ask = Dep2p_Holepunch_Ask()
        case .guess(let guess): message.guess = guess.message
        }
        return try message.serializedBytes()
    }

    /// - Throws: ``SessionError`` `violation`.
    init(decoding bytes: [UInt8]) throws(SessionError) {
        // The decoder's own words say no more than the error does.
        guard let body = (try? Dep2p_Holepunch_Message(serializedBytes: bytes))?.body else {
            throw SessionError(.violation, detail: "the hole punching message is malformed")
        }
        switch body {
        case .offer(let offer): self = .offer(Offer(offer))
        case .answer(let offer): self = .answer(Offer(offer))
        case .start: self = .start
        case .chosen(let chosen):
            guard let address = SocketAddress(ip: chosen.ip, port: chosen.port) else {
                throw SessionError(.violation, detail: "the chosen path has no address")
            }
            self = .chosen(address, isDirect: chosen.direct)
        case .ask: self = .ask
        case .guess(let guess): self = .guess(Guess(guess))
        }
    }
}

extension SocketAddress {
    fileprivate init?(ip: Data, port: UInt32) {
        guard let ip = IPAddress(bytes: ip), let port = UInt16(exactly: port), port > 0 else { return nil }
        self.init(ip, port: port)
    }
}

extension HolePunchMessage.Offer {
    fileprivate var message: Dep2p_Holepunch_Offer {
        var offer = Dep2p_Holepunch_Offer()
        offer.candidates = candidates.prefix(Candidate.limit).map(\.message)
        offer.hostMark = Data(hostMark)
        offer.mapping = mapping.map(\.message) ?? .untold
        return offer
    }

    /// Candidates that say nothing usable, of kinds that are unknown here too, are left out.
    fileprivate init(_ offer: Dep2p_Holepunch_Offer) {
        candidates = offer.candidates.prefix(Candidate.limit).compactMap { Candidate($0) }
        hostMark = Array(offer.hostMark.prefix(HolePunchMessage.hostMarkLength))
        mapping = MappedPorts(offer.mapping)
    }
}

extension MappedPorts {
    fileprivate var message: Dep2p_Holepunch_Mapping {
        switch self {
        case .independent: .independent
        case .random: .random
        }
    }

    fileprivate init?(_ mapping: Dep2p_Holepunch_Mapping) {
        switch mapping {
        case .independent: self = .independent
        case .random: self = .random
        case .untold, .UNRECOGNIZED: return nil
        }
    }
}

extension HolePunchMessage.Guess {
    fileprivate var message: Dep2p_Holepunch_Guess {
        var guess = Dep2p_Holepunch_Guess()
        guess.opens = opens
        guess.witnessIp = Data(witness?.ip.bytes ?? [])
        guess.witnessPort = UInt32(witness?.port ?? 0)
        guess.ip = Data(proven?.address.ip.bytes ?? [])
        guess.port = UInt32(proven?.address.port ?? 0)
        guess.proof = Data(proven?.proof ?? [])
        return guess
    }

    fileprivate init(_ guess: Dep2p_Holepunch_Guess) {
        opens = guess.opens
        witness = SocketAddress(ip: guess.witnessIp, port: guess.witnessPort)
        proven = SocketAddress(ip: guess.ip, port: guess.port).map {
            HolePunchMessage.Proven(address: $0, proof: Array(guess.proof.prefix(AddressProof.length)))
        }
    }
}

extension Candidate {
    fileprivate var message: Dep2p_Holepunch_Candidate {
        var candidate = Dep2p_Holepunch_Candidate()
        candidate.ip = Data(address.ip.bytes)
        candidate.port = UInt32(address.port)
        candidate.kind = Dep2p_Holepunch_Candidate.Kind(rawValue: Int(kind.rawValue)) ?? .unspecified
        candidate.step = Int32(clamping: step)
        candidate.count = UInt32(clamping: count)
        return candidate
    }

    fileprivate init?(_ candidate: Dep2p_Holepunch_Candidate) {
        guard let kind = UInt8(exactly: candidate.kind.rawValue).flatMap(Kind.init(rawValue:)),
            let address = SocketAddress(ip: candidate.ip, port: candidate.port)
        else { return nil }
        self.init(kind, address, step: Int(candidate.step), count: Int(clamping: candidate.count))
    }
}

extension ByteStream {
    func write(_ message: HolePunchMessage) async throws { try await writeFrame(message.encoded()) }
}

extension FrameReader {
    func requiredPunch() async throws -> HolePunchMessage { try HolePunchMessage(decoding: try await required()) }
}
