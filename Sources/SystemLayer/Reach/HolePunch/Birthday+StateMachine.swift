internal import DeP2PIdentity
internal import DeP2PReactor

/// How a NAT gives out ports to one socket, as far as guessing goes.
enum MappedPorts: Equatable, Sendable {
    /// The same for every destination.
    case independent
    /// Another for each, at random.
    case random
}

/// Which ports are tried when, where one side's NAT gives out ports that nobody can know, and the other's lets in only who
/// was written to: pure.
///
/// The side with such a NAT opens many sockets and writes to the peer from each, so that many of its NAT's ports lead to it;
/// the other writes to ports at random, until one is among them. As with birthdays, that is soon: of 64,512 ports 256 are
/// hit by one of 1,024 guesses in 98 of 100 cases, by one of 2,048 in all but 3 of 10,000.
///
/// States: under way → spent. A way that a probe has come by is probed at once, and a few times more (``hit(_:at:now:)``).
/// Calling order: any; ``timerFired(now:)`` when the instant of ``wake`` comes.
struct BirthdayMachine: TimedMachine {
    typealias Action = Shot

    static let socketCount = 256
    /// With fewer sockets than these it is not worth the datagrams.
    static let fewestSockets = 64
    /// Probes of one trial, and a second: four every 20 ms.
    static let probeLimit = 2_048
    static let tick = Duration.milliseconds(20)
    static let probesPerTick = 4
    /// From one time that the sockets write to the next, and how often they do: of what the peer has written before nothing is
    /// known, and it may have met a port that was not there yet, or have been lost.
    static let passInterval = Duration.seconds(4)
    static let passes = 3
    /// What NATs draw ports from (RFC 6056 section 3.2).
    static let firstPort: UInt16 = 1_024
    /// A way that something came by is probed so often, at this interval.
    static let hitProbes = 5
    static let hitInterval = Duration.milliseconds(200)
    static let hitLimit = 8
    /// How long the last probes' answers are waited for, and how long a trial takes in all, with the exchange before it, where
    /// round trips are short.
    static let leastPatience = Duration.milliseconds(1_500)
    static let leastDeadline = Duration.seconds(16)
    /// Round trips that the exchange before it takes, the proofs with it, and the answers to the last probes.
    static let roundTrips = 8

    static func patience(_ roundTrip: Duration) -> Duration { max(leastPatience, roundTrip * 2) }
    static func deadline(_ roundTrip: Duration) -> Duration { leastDeadline + roundTrip * roundTrips }

    enum Part: Equatable {
        /// Writes to where the peer is, from each of these sockets.
        case opens([SocketAddress], peer: SocketAddress)
        /// Writes to many ports of the peer.
        case guesses(peer: IPAddress)
    }

    struct Shot: Equatable {
        /// The socket; `nil` for the one that QUIC uses.
        let source: SocketAddress?
        let destination: SocketAddress
    }

    private struct Hit {
        let shot: Shot
        var left: Int
        var nextAt: NetworkInstant
    }

    private let peer: IPAddress
    private var queue: [Shot]
    /// What each pass sends, and when the passes to come begin.
    private let pass: [Shot]
    private var passesAt: [NetworkInstant]
    private var nextAt: NetworkInstant
    private var hits: [Hit] = []
    private(set) var sent = 0

    init(_ part: Part, random: inout some RandomNumberGenerator, now: NetworkInstant) {
        nextAt = now
        switch part {
        case .opens(let sockets, let peer):
            self.peer = peer.ip
            pass = sockets.prefix(Self.socketCount).map { Shot(source: $0, destination: peer) }
            passesAt = (1..<Self.passes).map { now.advanced(by: Self.passInterval * $0) }
            queue = pass
        case .guesses(let peer):
            self.peer = peer
            (pass, passesAt) = ([], [])
            queue = Self.ports(using: &random).map { Shot(source: nil, destination: SocketAddress(peer, port: $0)) }
        }
    }

    /// Different ports, at random.
    private static func ports(using random: inout some RandomNumberGenerator) -> [UInt16] {
        var all = Array(firstPort...UInt16.max)
        for index in 0..<probeLimit { all.swapAt(index, Int.random(in: index..<all.count, using: &random)) }
        return Array(all.prefix(probeLimit))
    }

    var wake: NetworkInstant? {
        guard sent < Self.probeLimit else { return nil }
        guard queue.isEmpty else { return nextAt }
        return (hits.map(\.nextAt) + passesAt.prefix(1)).min().map { max($0, nextAt) }
    }

    /// Whether nothing will be sent any more.
    var isSpent: Bool { wake == nil }

    /// An authenticated probe, or an answer, came from there to that socket of this node's.
    mutating func hit(_ source: SocketAddress?, at remote: SocketAddress, now: NetworkInstant) {
        let shot = Shot(source: source, destination: remote)
        guard remote.ip == peer, hits.count < Self.hitLimit, !hits.contains(where: { $0.shot == shot }) else { return }
        hits.append(Hit(shot: shot, left: Self.hitProbes, nextAt: now))
    }

    mutating func timerFired(now: NetworkInstant) -> [Shot] {
        guard nextAt <= now else { return [] }
        if let due = passesAt.first, due <= now {
            passesAt.removeFirst()
            // A slow machine has not come to the end of the one before: the rest of that is part of this one.
            queue = pass
        }
        let most = min(Self.probesPerTick, Self.probeLimit - sent)
        var shots: [Shot] = []
        for index in hits.indices where hits[index].nextAt <= now && shots.count < most {
            shots.append(hits[index].shot)
            hits[index].left -= 1
            hits[index].nextAt = now.advanced(by: Self.hitInterval)
        }
        hits.removeAll { $0.left <= 0 }
        let next = queue.prefix(most - shots.count)
        queue.removeFirst(next.count)
        shots += next
        sent += shots.count
        if !shots.isEmpty { nextAt = now.advanced(by: Self.tick) }
        return shots
    }
}
