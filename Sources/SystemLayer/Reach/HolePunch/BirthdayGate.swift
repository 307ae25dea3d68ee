internal import DeP2PIdentity
internal import DeP2PReactor

/// Whether ports may be guessed now, over all connections: pure.
///
/// One trial at a time, so many an hour, fewer of them at one address, and there not again before a pause that doubles with
/// each failure: whoever has proven an address gets the datagrams of a trial there now and then, and so do the neighbours whom
/// he shares it with; and he can't have all the trials that others need. Who dialled has the choice of whom to dial: to trials
/// of connections that others made a part of the hour's is denied, and another part to those where there was one already.
struct BirthdayGate {
    /// From the end of a trial to the next at the same address: after one that succeeded or was given up early, and after a
    /// failure; doubled with each of these.
    static let pause = Duration.seconds(10)
    static let firstPause = Duration.seconds(60)
    static let longestPause = Duration.seconds(3_600)
    /// Trials in an hour, and of these at one address.
    static let hourly = 30
    static let hourlyAtOne = 10
    /// Of an hour's trials those of connections that others made, and of these those at addresses where there was one before.
    static let hourlyServed = 24
    static let hourlyServedAgain = 12
    /// Datagrams from which on a trial without success is a failure.
    static let failing = 256
    static let hour = Duration.seconds(3_600)
    /// Addresses remembered: as many as an hour can bring, and those whose pause is longest.
    static let memory = 64

    private struct Past {
        let ip: IPAddress
        var failures = 0
        var until: NetworkInstant
    }

    private var present: IPAddress?
    private struct Begun {
        let at: NetworkInstant
        let ip: IPAddress
        let isServed: Bool
        /// Whether another at that address was not an hour ago.
        let isAgain: Bool
    }

    private var begun: [Begun] = []
    private var past: [Past] = []

    /// Whether any trial could begin.
    ///
    /// - Parameter isServed: whether the other side made the connection.
    func isOpen(isServed: Bool, now: NetworkInstant) -> Bool {
        guard present == nil else { return false }
        let lately = begun.filter { now.duration(since: $0.at) < Self.hour }
        return lately.count < Self.hourly && (!isServed || lately.count(where: \.isServed) < Self.hourlyServed)
    }

    /// Begins a trial, which ``end(succeeded:sent:now:)`` ends.
    mutating func begin(at ip: IPAddress, isServed: Bool, now: NetworkInstant) -> Bool {
        guard isOpen(isServed: isServed, now: now),
            past.first(where: { $0.ip == ip }).map({ $0.until <= now }) ?? true
        else { return false }
        begun.removeAll { now.duration(since: $0.at) >= Self.hour }
        let there = begun.count { $0.ip == ip }
        guard there < Self.hourlyAtOne else { return false }
        let isAgain = there > 0
        if isServed, isAgain, begun.count(where: { $0.isServed && $0.isAgain }) >= Self.hourlyServedAgain {
            return false
        }
        begun.append(Begun(at: now, ip: ip, isServed: isServed, isAgain: isAgain))
        present = ip
        return true
    }

    /// - Parameter sent: datagrams of the trial.
    mutating func end(succeeded: Bool, sent: Int, now: NetworkInstant) {
        guard let ip = present else { return }
        present = nil
        let before = past.first { $0.ip == ip }?.failures ?? 0
        let isFailure = !succeeded && sent >= Self.failing
        let failures = succeeded ? 0 : isFailure ? before + 1 : before
        past.removeAll { $0.ip == ip }
        if past.count >= Self.memory, let index = past.indices.min(by: { past[$0].until < past[$1].until }) {
            past.remove(at: index)
        }
        let pause = isFailure ? Self.pause(after: failures) : Self.pause
        past.append(Past(ip: ip, failures: failures, until: now.advanced(by: pause)))
    }

    private static func pause(after failures: Int) -> Duration {
        min(firstPause * (1 << min(failures - 1, 16)), longestPause)
    }
}
