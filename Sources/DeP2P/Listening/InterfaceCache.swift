internal import DeP2PReactor
internal import DeP2PSessions

/// This machine's interfaces, read anew when what is known of them is a second old, or may have changed.
///
/// Each connection asks several times whose word is worth what, and each reading takes some thirty system calls: together
/// a third of what a connection to another process of this machine takes.
@NetworkActor
final class InterfaceCache {
    /// How old an answer may be where nothing tells of changes.
    static let age = Duration.seconds(1)

    private let clock: any NetworkClock
    private let read: @NetworkActor () -> [InterfaceAddress]
    private var known: (interfaces: [InterfaceAddress], at: NetworkInstant)?

    init(_ clock: any NetworkClock, _ read: @escaping @NetworkActor () -> [InterfaceAddress]) {
        self.clock = clock
        self.read = read
    }

    var current: [InterfaceAddress] { interfaces(now: clock.now) }

    func interfaces(now: NetworkInstant) -> [InterfaceAddress] {
        if let known, now.duration(since: known.at) < Self.age { return known.interfaces }
        let interfaces = read()
        known = (interfaces, now)
        return interfaces
    }

    /// They may be others now.
    func forget() { known = nil }
}
