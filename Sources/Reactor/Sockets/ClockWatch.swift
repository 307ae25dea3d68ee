internal import CDeP2PReactor
internal import Glibc

/// What became of a machine's clocks.
package enum ClockChange: Hashable, Sendable {
    /// The machine slept for so long; time went on.
    case slept(Duration)
    /// Somebody set the wall clock, forwards or backwards by so much.
    case set(by: Duration)
}

/// Tells of such changes: a double in tests, the kernel otherwise.
@NetworkActor
package protocol ClockChangeSource: AnyObject, Sendable {
    var onChange: (@NetworkActor (ClockChange) -> Void)? { get set }
    func close()
}

/// A machine's clocks at one moment, each in the time since a begin of its own: pure.
struct ClockReading: Equatable {
    /// Sleeps and settings that are shorter change nothing that anybody does.
    static let shortestSleep = Duration.seconds(2)
    static let smallestSetting = Duration.seconds(10)

    let wall: Duration
    /// Since the machine's start, and how much of it the machine was awake.
    let passed: Duration
    let awake: Duration

    func changes(since earlier: Self) -> [ClockChange] {
        let slept = (passed - earlier.passed) - (awake - earlier.awake)
        let set = (wall - earlier.wall) - (passed - earlier.passed)
        return (slept >= Self.shortestSleep ? [.slept(slept)] : [])
            + (max(set, .zero - set) >= Self.smallestSetting ? [.set(by: set)] : [])
    }
}

/// The kernel's word of it. It also wakes the network thread, whose wait does not end sooner by the time that the machine slept.
@NetworkActor
package final class ClockWatch: ClockChangeSource {
    package var onChange: (@NetworkActor (ClockChange) -> Void)?
    private var descriptor: Int32
    private var watch: DescriptorWatch?
    private var last = ClockWatch.read()

    /// `nil` where the kernel tells nobody.
    package init?() {
        descriptor = dep2p_clock_watch_open()
        guard descriptor >= 0 else { return nil }
        watch = DescriptorWatch(descriptor, for: .readable) { [weak self] _ in self?.look() }
    }

    private func look() {
        guard descriptor >= 0 else { return }
        // A timer that can't be armed would be readable for ever.
        if dep2p_clock_watch_again(descriptor) != 0 { watch?.cancel() }
        let (now, earlier) = (Self.read(), last)
        let changes = now.changes(since: earlier)
        // Many small settings are a large one.
        if !changes.isEmpty { last = now }
        for change in changes { onChange?(change) }
    }

    private static func read() -> ClockReading {
        var reading = dep2p_clock_reading()
        dep2p_clock_read(&reading)
        return ClockReading(
            wall: .nanoseconds(reading.wall), passed: .nanoseconds(reading.passed), awake: .nanoseconds(reading.awake))
    }

    package func close() {
        guard descriptor >= 0 else { return }
        watch?.cancel()
        Glibc.close(descriptor)
        descriptor = -1
        onChange = nil
    }
}
