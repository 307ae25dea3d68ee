internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor

/// How fast bytes go, from the looks that are taken at how many have gone: pure. Nothing runs between the looks.
///
/// Each look is compared with one that is at least ``shortest`` old, and little more where looks are frequent: two are kept.
/// So any number of observers may look, each as often as it likes.
struct RateWindow {
    /// Rates of less time say more about packets than about bandwidth.
    static let shortest = Duration.seconds(1)
    /// Rates of more time say nothing about now.
    static let longest = Duration.seconds(10)

    private struct Look {
        let at: NetworkInstant
        let bandwidth: Bandwidth
    }

    private var older: Look?
    private var newer: Look?

    /// Adds the rates to what was counted just now.
    mutating func add(to bandwidth: inout Bandwidth, now: NetworkInstant) {
        let look = Look(at: now, bandwidth: bandwidth)
        defer {
            if newer.map({ now.duration(since: $0.at) >= Self.shortest }) ?? true { (older, newer) = (newer, look) }
        }
        guard let base = base(at: now) else { return }
        bandwidth.fillRates(since: base.bandwidth, over: now.duration(since: base.at))
    }

    private func base(at now: NetworkInstant) -> Look? {
        [newer, older].lazy.compactMap(\.self).first { look in
            let age = now.duration(since: look.at)
            return age >= Self.shortest && age <= Self.longest
        }
    }
}

extension Bandwidth {
    fileprivate mutating func fillRates(since earlier: Bandwidth, over time: Duration) {
        interval = time
        total.fillRate(since: earlier.total, over: time)
        forgottenPeers.fillRate(since: earlier.forgottenPeers, over: time)
        for path in paths.keys { paths[path]?.fillRate(since: earlier.paths[path], over: time) }
        for name in protocols.keys { protocols[name]?.fillRate(since: earlier.protocols[name], over: time) }
        for peer in peers.keys { peers[peer]?.fillRate(since: earlier.peers[peer], over: time) }
    }
}

extension Bandwidth.Flow {
    fileprivate mutating func fillRate(since earlier: Self?, over time: Duration) {
        let bytes = bytes - (earlier?.bytes ?? .zero)
        perSecond = Traffic(payload: bytes.payload.perSecond(over: time), wire: bytes.wire.perSecond(over: time))
    }
}

extension ByteTotals {
    fileprivate func perSecond(over time: Duration) -> Self {
        Self(sent: Self.perSecond(sent, over: time), received: Self.perSecond(received, over: time))
    }

    private static func perSecond(_ bytes: UInt64, over time: Duration) -> UInt64 {
        // A peer that was forgotten and came anew has fewer than before.
        guard bytes <= UInt64(Int64.max) else { return 0 }
        return UInt64(Double(bytes) / (time / .seconds(1)) + 0.5)
    }
}
