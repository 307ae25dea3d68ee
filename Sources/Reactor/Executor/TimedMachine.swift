/// What is decided over time: a value type without clock, sockets or randomness of its own.
///
/// Each event is a mutating function that returns actions, to be carried out in order. Calling order: any event as it
/// happens, and ``timerFired(now:)`` when the instant of ``wake`` has come, which may be another one after each event.
/// A ``MachineDriver`` sees to that.
public protocol TimedMachine {
    associatedtype Action

    /// When ``timerFired(now:)`` is due; `nil` while nothing is.
    var wake: NetworkInstant? { get }

    /// Does what is due. Before the time of ``wake`` there is nothing to do.
    mutating func timerFired(now: NetworkInstant) -> [Action]
}
