internal import DeP2PIdentity
internal import DeP2PReactor

/// Whether ports may be guessed now, over all connections: pure.
///
/// One trial at a time, so many an hour, fewer of them at one address, and there not again before a pause that doubles with
/// each failure: whoever has proven an address gets the datagrams of a trial there now and then, and so do the neighbours whom
/// he shares it with; and he can't have all the trials that others need.
struct BirthdayGate {
    /// From the end of a trial to the next at the same address: after one that succeeded or was given up early, and after a
    /// failure; doubled with each of these.
    static let pause = Duration.seconds(10)
    static let firstPause = Duration.seconds(60)
    static let longestPause = Duration.seconds(3_600)
    /// Trials in an hour, and of these at one address.
    static let hourly = 30
    static let hourlyAtOne = 10
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
    private var begun: [(at: NetworkInstant, ip: IPAddress)] = []
    private var past: [Past] = []

    /// Whether any trial could begin.
    func isOpen(now: NetworkInstant) -> Bool {
        present == nil && begun.count { now.duration(since: $0.at) < Self.hour } < Self.hourly
    }

    /// Begins a trial, which ``end(succeeded:now:)`` ends.
    mutating func begin(at ip: IPAddress, now: NetworkInstant) -> Bool {
        guard isOpen(now: now), past.first(where: { $0.ip == ip }).map({ $0.until <= now }) ?? true else {
            return false
        }
        begun.removeAll { now.duration(since: $0.at) >= Self.hour }
        guard begun.count(where: { $0.ip == ip }) < Self.hourlyAtOne else { return false }
        begun.append((now, ip))
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
