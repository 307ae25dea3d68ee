internal import CDeP2PQUICShim
internal import DeP2PIdentity
internal import DeP2PReactor

/// What has come of all connections and waits in memory, counted and bounded.
///
/// Windows bound what one connection may fill, but a node has many, and where a peer leaves out a byte here and there, what
/// is kept to know where takes forty times as much as what came. Beyond the bound the largest connection of whose ``Subject``
/// has the most is closed: so who fills the memory does so for himself, with however many connections and NodeIDs.
extension Endpoint {
    /// After each datagram of the connection.
    func noteMemory(of connection: Connection) {
        let held = connection.heldMemory
        heldMemory += held - connection.notedMemory
        connection.notedMemory = held
        if heldMemory > maxReceiveMemory { relieveMemory() }
    }

    func forgetMemory(of connection: Connection) {
        heldMemory -= connection.notedMemory
        connection.notedMemory = 0
    }

    private func relieveMemory() {
        // What has been read since the last datagram of each counts no more.
        let all = connections.valuesInOrder
        heldMemory = 0
        for connection in all {
            connection.notedMemory = connection.heldMemory
            heldMemory += connection.notedMemory
        }
        guard heldMemory > maxReceiveMemory else { return }
        var shares: [Subject: Int] = [:]
        for connection in all { shares[connection.subject, default: 0] += connection.notedMemory }
        let largest = all.max {
            (shares[$0.subject] ?? 0, $0.notedMemory, $0.id) < (shares[$1.subject] ?? 0, $1.notedMemory, $1.id)
        }
        largest?.close(
            code: configuration.limitCloseCode,
            reason: "more than \(maxReceiveMemory) bytes of what was received wait in memory")
    }
}

extension Connection {
    /// Bytes of memory for what was not read, or is not whole, and for what ngtcp2 keeps.
    var heldMemory: Int { receiveMemory + keptMemory + (quic.map { Int(clamping: dep2p_quic_memory($0)) } ?? 0) }
}
