/// Who takes the datagrams of a node's sockets that belong to no connection: one owner a kind.
///
/// Anyone can send them, so ``StrangerBudget`` weighs them before they are copied.
@NetworkActor
package final class DatagramTable {
    package typealias Handler = @NetworkActor (Datagram) -> Void

    private var handlers: [DatagramKind: Handler] = [:]
    private var budget = StrangerBudget()

    package init() {}

    /// Datagrams that were not looked at: too long, or beyond their subject's share.
    package var refused: UInt64 { budget.refused }

    /// Makes `handler` the owner of a kind, until ``release(_:)``.
    ///
    /// - Returns: false when it has one already.
    @discardableResult
    package func take(_ kind: DatagramKind, _ handler: @escaping Handler) -> Bool {
        guard handlers[kind] == nil else { return false }
        handlers[kind] = handler
        return true
    }

    package func release(_ kind: DatagramKind) { handlers[kind] = nil }

    package func removeAll() { handlers = [:] }

    /// Hands a datagram to the owner of its kind, if it has one.
    package func deliver(
        _ bytes: UnsafeMutableRawBufferPointer, local: SocketAddress, remote: SocketAddress, now: NetworkInstant
    ) {
        guard let first = bytes.first, let kind = DatagramKind(firstByte: first), let handler = handlers[kind],
            budget.admits(bytes.count, from: remote, now: now)
        else { return }
        handler(Datagram(bytes: Array(bytes), local: local, remote: remote))
    }
}
