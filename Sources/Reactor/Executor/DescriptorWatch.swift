internal import CDeP2PReactor
internal import Glibc

/// What epoll reports of a descriptor, and is asked for.
package struct PollEvents: OptionSet, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let readable = PollEvents(rawValue: EPOLLIN.rawValue)
    package static let writable = PollEvents(rawValue: EPOLLOUT.rawValue)
    /// Reported unasked.
    package static let failed = PollEvents(rawValue: EPOLLERR.rawValue)
    package static let hungUp = PollEvents(rawValue: EPOLLHUP.rawValue)
}

/// A descriptor that the network thread watches: level-triggered, until ``cancel()``, which comes before its close.
///
/// It owns nothing: the descriptor is its opener's to close.
@NetworkActor
package struct DescriptorWatch {
    private let descriptor: Int32

    /// - Parameter handler: called on the network thread with what is ready, once a turn as long as it is.
    package init(
        _ descriptor: Int32, for events: PollEvents, handler: @escaping @NetworkActor (PollEvents) -> Void
    ) {
        self.descriptor = descriptor
        NetworkActor.executor.add(descriptor: descriptor, events: events, handler: handler)
    }

    /// Watches for `events` from now on.
    package func change(to events: PollEvents) {
        NetworkActor.executor.change(descriptor: descriptor, events: events)
    }

    package func cancel() { NetworkActor.executor.remove(descriptor: descriptor) }
}
