internal import DeP2PIdentity
internal import DeP2PReactor

/// Whether the peer, which says that it is at another address, has left the present one: pure. At QUIC's client alone, which hears
/// nothing of what a server sends from elsewhere (RFC 9000 9) and can migrate; no stream reaches either then.
///
/// States: idle → asking both addresses, ``asks`` times → idle, and followed when the new one alone has answered. A peer that
/// got another address beside the present one is left where it is. Calling order: ``told(_:present:now:)`` for each word of a
/// move, ``answered(_:)`` for each answer, ``timerFired(now:)`` when the instant of ``wake`` comes.
struct PeerMove: TimedMachine {
    /// From one time that both are asked to the next, and how often they are.
    static let interval = Duration.milliseconds(200)
    static let asks = 5

    enum Action: Equatable {
        case probe(SocketAddress)
        /// The peer is there, and nowhere else: migrate.
        case follow(SocketAddress)
    }

    private struct Question {
        let new: SocketAddress
        let present: SocketAddress
        var isThere = false
        var asked = 0
        var nextAt: NetworkInstant
    }

    private var question: Question?

    var wake: NetworkInstant? { question?.nextAt }

    /// The peer says, from `new`, that it has moved. One question is asked at a time, so that a peer has no more sent than that.
    mutating func told(_ new: SocketAddress, present: SocketAddress, now: NetworkInstant) -> [Action] {
        guard question == nil, new != present else { return [] }
        question = Question(new: new, present: present, nextAt: now)
        return timerFired(now: now)
    }

    /// The peer has answered a probe from there.
    mutating func answered(_ remote: SocketAddress) {
        if question?.new == remote { question?.isThere = true }
        if question?.present == remote { question = nil }
    }

    mutating func timerFired(now: NetworkInstant) -> [Action] {
        guard var asking = question, asking.nextAt <= now else { return [] }
        guard asking.asked < Self.asks else {
            question = nil
            return asking.isThere ? [.follow(asking.new)] : []
        }
        asking.asked += 1
        asking.nextAt = now.advanced(by: Self.interval)
        question = asking
        return [.probe(asking.present)] + (asking.isThere ? [] : [.probe(asking.new)])
    }
}
