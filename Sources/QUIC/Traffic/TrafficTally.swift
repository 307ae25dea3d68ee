package import DeP2PReactor

/// What the streams of one protocol have carried, of all connections.
@NetworkActor
package final class TrafficTally {
    private var payload = ConnectionTraffic()

    package init() {}

    package subscript(path: PathClass) -> ByteTotals { payload[path].payload }
    package var total: ByteTotals { payload.total.payload }

    func add(_ bytes: ByteTotals, over path: PathClass) { payload.carried(bytes, over: path) }
}
