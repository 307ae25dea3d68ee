package import DeP2PReactor
package import DeP2PSessions

/// A capability of a node, from its start to its end: an entry of ``Node/capabilities(_:_:)``.
///
/// Calling order, all on the network thread: ``start()`` once, ``networkChanged()`` any number of times, ``willStop(within:)``,
/// ``stop()``. Parts start in the list's order, hear of changes in it, and stop in the opposite one: who stands later may
/// use who stands earlier.
@NetworkActor
package protocol NodePart: AnyObject {
    /// Everything that the node is made of exists, and nothing has arrived yet.
    func start()

    /// This machine's addresses or routes have changed: what was found out about the network is found out anew.
    func networkChanged()

    /// Of the streams that are open on `session`, how many this part keeps open for as long as it likes: a node that stops
    /// doesn't wait for them.
    func streamsKeptOpen(on session: Session) -> Int

    /// The node is about to stop: the part takes on nothing more, and what it has under way has `grace` to end.
    func willStop(within grace: Duration)

    /// The grace is over, or every stream has ended. In a task that is cancelled it waits for nothing.
    func stop() async
}

extension NodePart {
    package func start() {}
    package func networkChanged() {}
    package func streamsKeptOpen(on session: Session) -> Int { 0 }
    package func willStop(within grace: Duration) {}
    package func stop() async {}
}
