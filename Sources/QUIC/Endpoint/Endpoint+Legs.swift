internal import DeP2PIdentity
package import DeP2PReactor

/// Where paths begin besides the driver's sockets: at legs, which are no sockets of this machine, and at further sockets.
extension Endpoint {
    /// Adds a driver whose paths start at the fake address `local` (a relay's leg), at any port.
    package func addLeg(_ leg: any PacketDriver, local: SocketAddress) { legs[local.ip] = leg }
    package func removeLeg(local: SocketAddress) { legs[local.ip] = nil }

    /// How datagrams travel that start at `local`.
    func kindOfPath(from local: SocketAddress) -> ConnectionPath.Kind? {
        (legs[local.ip] as? RelayLeg).map { .relay($0.relayID) }
    }

    func leg(at local: IPAddress) -> (any PacketDriver)? { legs[local] }

    /// Whether what leaves from `local` goes over a TCP connection first, which takes datagrams of any size.
    func beginsOverTCP(_ local: SocketAddress) -> Bool {
        switch legs[local.ip] {
        case is TCPLeg: true
        case let relay as RelayLeg: relay.connection.currentAddresses.map { legs[$0.local.ip] is TCPLeg } ?? false
        default: false
        }
    }

    /// What fits for certain on the way from `local` to `remote`.
    func knownDatagramSize(from local: SocketAddress, to remote: SocketAddress) -> Int? {
        (legs[local.ip] ?? driver).knownDatagramSize(to: remote)
    }

    /// - Returns: false when the circuit's id is in use.
    func addCircuit(_ id: UInt64, leg: RelayLeg) -> Bool {
        guard circuits[id] == nil else { return false }
        circuits[id] = leg
        return true
    }

    func removeCircuit(_ id: UInt64) { circuits[id] = nil }

    // MARK: Further sockets

    /// Names a further socket: ports of the two families are different ones.
    struct SocketKey: Hashable {
        let family: IPAddress.Family
        let port: UInt16

        init(_ address: SocketAddress) { (family, port) = (address.ip.family, address.port) }
    }

    /// Takes a socket into use, bound to one address at a port of its own: a path may begin there, and what comes in there
    /// of connections that there are, or is a probe, is received. It closes with the endpoint.
    ///
    /// - Returns: its address; `nil`, and it is closed, when it has none or the port is in use.
    package func addSocket(_ socket: any PacketDriver) -> SocketAddress? {
        guard !isClosed, let local = socket.localAddresses.first, sockets[SocketKey(local)] == nil,
            !driver.localAddresses.contains(where: { SocketKey($0) == SocketKey(local) })
        else {
            socket.close()
            return nil
        }
        sockets[SocketKey(local)] = socket
        hasHadSockets = true
        socket.start(self)
        return local
    }

    /// Further sockets that are open.
    package var furtherSocketCount: Int { sockets.count }

    /// Closes a further socket. A connection whose path begins there has none any more.
    package func removeSocket(_ local: SocketAddress) {
        guard let socket = sockets.removeValue(forKey: SocketKey(local)) else { return }
        socket.close()
        // Nobody would say that it can be written to again.
        guard let burst = pending, SocketKey(burst.local) == SocketKey(local) else { return }
        pending = nil
        for connection in connections.valuesInOrder { connection.markDirty() }
    }

    /// The bound address of the further socket that datagrams to `local` come in by; `nil` for one of the driver's.
    package func socket(at local: SocketAddress) -> SocketAddress? {
        sockets.isEmpty ? nil : sockets[SocketKey(local)]?.localAddresses.first
    }

    /// What sends from `local`; `nil` for a further socket that has been closed: from the node's own it would look as if the
    /// node had moved there.
    func driver(at local: SocketAddress) -> (any PacketDriver)? {
        guard hasHadSockets else { return driver }
        let key = SocketKey(local)
        if let socket = sockets[key] { return socket }
        return driver.localAddresses.contains { SocketKey($0) == key } ? driver : nil
    }
}
