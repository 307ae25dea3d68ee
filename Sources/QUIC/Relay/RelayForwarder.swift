internal import DeP2PIdentity
package import DeP2PReactor

/// A relay's data plane: passes frames between the two sides of each circuit, a whole GRO train at a time.
///
/// It sees ciphertext of connections that are not its own. A frame is passed on when its id is known and it comes from
/// where that side's connection to the relay is; anything else is dropped without an answer. It goes to where the other
/// side has shown to receive, not where its last packet claimed to come from: that may be a victim's address, and a
/// circuit carries megabytes.
@NetworkActor
package final class RelayForwarder {
    /// Circuits at once.
    package nonisolated static let circuitLimit = 65_536

    private unowned let endpoint: Endpoint
    private var routes: [UInt64: RelayCircuit.Side] = [:]
    private var circuits: [ObjectIdentifier: RelayCircuit] = [:]
    /// Bytes of frames passed on, by circuits of the past too.
    package private(set) var forwardedBytes: UInt64 = 0
    /// Frames from another address than their circuit's.
    package private(set) var strayDatagrams: UInt64 = 0

    init(_ endpoint: Endpoint) {
        self.endpoint = endpoint
    }

    package var circuitCount: Int { circuits.count }

    /// Makes a circuit between two of this endpoint's connections; `nil` at ``circuitLimit``.
    package func open(
        _ first: Connection, _ second: Connection, limits: RelayCircuit.Limits = RelayCircuit.Limits()
    ) -> RelayCircuit? {
        guard circuits.count < Self.circuitLimit else { return nil }
        let firstID = freshID(besides: nil)
        let circuit = RelayCircuit(
            first, second, ids: (firstID, freshID(besides: firstID)), limits: limits, now: endpoint.clock.now)
        for side in circuit.sides { routes[side.id] = side }
        circuits[ObjectIdentifier(circuit)] = circuit
        return circuit
    }

    package func close(_ circuit: RelayCircuit) {
        for side in circuit.sides { routes[side.id] = nil }
        circuits[ObjectIdentifier(circuit)] = nil
        circuit.onExhausted = nil
    }

    /// The largest datagram, without the frame's header, that fits both of a circuit's sides for certain; `nil` when it
    /// has to be discovered.
    package func knownDatagramSize(_ circuit: RelayCircuit) -> Int? {
        var smallest = Int.max
        for side in circuit.sides {
            guard let path = side.connection.currentAddresses,
                let size = endpoint.knownDatagramSize(from: path.local, to: path.remote)
            else { return nil }
            smallest = min(smallest, size)
        }
        return smallest - RelayFrame.headerSize
    }

    /// Unpredictable, so that nobody can send into a circuit that is not theirs.
    private func freshID(besides taken: UInt64?) -> UInt64 {
        while true {
            let id = endpoint.random.next()
            if routes[id] == nil, id != taken { return id }
        }
    }

    /// Passes on a train of frames of `segment` bytes each, the last perhaps shorter.
    ///
    /// - Returns: whether the train was dealt with; if not, its datagrams are to be looked at one by one.
    func forward(
        _ train: UnsafeMutableRawBufferPointer, segment: Int, remote: SocketAddress, ecn: UInt8
    ) -> Bool {
        guard let (id, _) = RelayFrame.header(of: train), let side = routes[id] else { return false }
        guard let count = Self.frames(in: train, segment: segment, circuit: id) else { return false }
        guard side.connection.isAt(remote) else {
            strayDatagrams &+= UInt64(count)
            return true
        }
        let circuit = side.circuit
        let target = circuit.other(side)
        guard let path = target.connection.validatedAddresses,
            circuit.admit(bytes: train.count, datagrams: count, now: endpoint.clock.now)
        else { return true }
        for index in 0..<count { RelayFrame.setCircuit(target.id, at: index * segment, of: train) }
        forwardedBytes &+= UInt64(train.count)
        endpoint.send(
            PacketBurst(
                bytes: UnsafeRawBufferPointer(train), segment: segment, local: path.local, remote: path.remote, ecn: ecn
            ))
        return true
    }

    /// How many frames the train has, when all are frames of this circuit.
    private static func frames(in train: UnsafeMutableRawBufferPointer, segment: Int, circuit: UInt64) -> Int? {
        guard segment > RelayFrame.headerSize else { return nil }
        var (count, offset) = (0, 0)
        while offset < train.count {
            guard train.count - offset > RelayFrame.headerSize, RelayFrame.isType(train[offset]),
                RelayFrame.circuit(at: offset, of: train) == circuit
            else { return nil }
            count += 1
            offset += segment
        }
        return count
    }
}
