import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import Glibc

@testable import DeP2PSessions

/// Two nodes with one session, each with its liveness machine and what QUIC does while nothing else is sent: its keep-alive, and
/// that repeated ever more rarely (RFC 9002, section 6.2). Hours in a moment.
struct LossyPair {
    /// What becomes of packets.
    enum Link: CaseIterable {
        case oneInAHundred
        /// A fifth, each by itself.
        case random
        /// Everything for a fifth of a second, or a second, on average, a fifth of the time.
        case bursts
        case longBursts

        var mean: Double? {
            switch self {
            case .oneInAHundred, .random: nil
            case .bursts: 0.2
            case .longBursts: 1
            }
        }
    }

    private struct Side {
        var machine: LivenessMachine
        /// When it was last sent something that is to be answered, or anything came.
        var stirredAt: NetworkInstant
        var heardAt: NetworkInstant
        /// While an answer is missing: when it is asked for again, and after how long.
        var repetition: (at: NetworkInstant, after: Duration)?
        var wantsToSend = false
        var falselyGone = 0
        var sent = 0
    }

    private struct Packet {
        let at: NetworkInstant
        let to: Int
        let isAnswer: Bool
    }

    private static let start = NetworkInstant(nanoseconds: 1_000_000_000)
    private static let latency = Duration.milliseconds(40)
    private static let keepAlive = Duration.seconds(3)
    private static let firstRepetition = Duration.milliseconds(180)
    private static let names = [IdentityKey.generate().nodeID, IdentityKey.generate().nodeID]

    private let link: Link
    private let probes: Bool
    private var random: SplitMix64
    private var now = start
    private var sides: [Side] = []
    private var packets: [Packet] = []
    private var isBad = false
    private var badUntil = start

    /// - Parameter probes: whether silent nodes are asked, as they are.
    init(_ link: Link, seed: UInt64, probes: Bool = true) {
        (self.link, self.probes, random) = (link, probes, SplitMix64(seed: seed))
        for side in 0..<2 {
            var machine = LivenessMachine(
                times: LivenessTimes(keepAlive: Self.keepAlive, idleTimeout: .seconds(9)),
                limits: LivenessMachine.Limits(present: 10))
            _ = machine.opened(1, of: Self.names[1 - side], over: .direct, as: .chosen, now: now)
            sides.append(Side(machine: machine, stirredAt: now, heardAt: now))
        }
        // The two do not speak in step for ever.
        sides[1].stirredAt = now.advanced(by: .milliseconds(700))
    }

    /// How often one of the two took the other for gone.
    var falselyGone: Int { sides.reduce(0) { $0 + $1.falselyGone } }
    var sent: Int { sides.reduce(0) { $0 + $1.sent } }

    mutating func pass(_ duration: Duration) {
        let end = now.advanced(by: duration)
        while let next = next, next <= end {
            now = max(now, next)
            arrive()
            for side in 0..<2 { act(side) }
        }
        now = end
    }

    private var next: NetworkInstant? {
        var earliest = packets.first?.at
        for side in sides {
            let keepAlive = side.stirredAt.advanced(by: Self.keepAlive)
            earliest = min(earliest ?? keepAlive, keepAlive)
            if let wake = side.machine.wake { earliest = min(earliest ?? wake, wake) }
            if let repetition = side.repetition?.at { earliest = min(earliest ?? repetition, repetition) }
        }
        return earliest
    }

    private mutating func arrive() {
        while let packet = packets.first, packet.at <= now {
            packets.removeFirst()
            sides[packet.to].heardAt = now
            sides[packet.to].stirredAt = now
            if packet.isAnswer { sides[packet.to].repetition = nil } else { send(from: packet.to, isAnswer: true) }
        }
    }

    private mutating func act(_ side: Int) {
        if let wake = sides[side].machine.wake, wake <= now {
            let heardAt = sides[side].heardAt
            let told = sides[side].machine.timerFired(now: now) { _ in heardAt }
            sides[side].falselyGone += told.count { $0.state == .offline }
            let asked = !sides[side].machine.takeProbes().isEmpty
            if asked, probes { ask(side) }
        }
        if let repetition = sides[side].repetition, repetition.at <= now {
            sides[side].repetition = (now.advanced(by: repetition.after * 2), repetition.after * 2)
            send(from: side, isAnswer: false)
        }
        if sides[side].stirredAt.advanced(by: Self.keepAlive) <= now { ask(side) }
    }

    private mutating func ask(_ side: Int) {
        if sides[side].repetition == nil {
            sides[side].repetition = (now.advanced(by: Self.firstRepetition), Self.firstRepetition)
        }
        send(from: side, isAnswer: false)
    }

    private mutating func send(from side: Int, isAnswer: Bool) {
        sides[side].sent += 1
        if !isAnswer { sides[side].stirredAt = now }
        // All take the same time, so that they arrive in the order in which they were sent.
        if passes() { packets.append(Packet(at: now.advanced(by: Self.latency), to: 1 - side, isAnswer: isAnswer)) }
    }

    private mutating func passes() -> Bool {
        guard let mean = link.mean else { return random.unit() >= (link == .random ? 0.2 : 0.01) }
        while badUntil <= now {
            isBad.toggle()
            badUntil = badUntil.advanced(by: .seconds((isBad ? -mean : -4 * mean) * log(1 - random.unit())))
        }
        return !isBad
    }
}
