/// A virtual network that runs when nothing real is ready, and a clock of its own with it.
///
/// Calling order: ``NetworkActor/add(_:)``, ``NetworkActor/remove(_:)``; in between the network thread moves it on whenever
/// no job is ready, no action waits for the end of the turn, and nothing real has happened.
@NetworkActor
package protocol Simulation: AnyObject, Sendable {
    /// Whether there is anything left to simulate now.
    var wantsToAdvance: Bool { get }
    /// Moves virtual time to the next event and delivers it.
    func advance()
    /// Whether what is ``offload(_:)``ed is done at once, on the network thread: what ends first on other threads is chance,
    /// and would make the run another one each time.
    var worksInline: Bool { get }
}

extension Simulation {
    package var worksInline: Bool { false }
}

extension NetworkActor {
    @NetworkActor
    package static func add(_ simulation: any Simulation) { executor.add(simulation) }

    @NetworkActor
    package static func remove(_ simulation: any Simulation) { executor.remove(simulation) }
}
