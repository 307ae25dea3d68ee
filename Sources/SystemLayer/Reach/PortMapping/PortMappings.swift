package import DeP2PIdentity
package import DeP2PReactor

/// Keeps a node's ports open on the gateways of both families: a ``PortMapper`` each.
///
/// Calling order: set ``onChange``, ``start()``; ``networkChanged()`` when addresses or routes have changed; ``stop()``
/// at the end, which removes the mappings.
@NetworkActor
package final class PortMappings {
    package typealias MakeMapper = @NetworkActor (_ port: UInt16, _ family: IPAddress.Family) -> PortMapper?

    /// Called with the mapping that a family has now, or `nil` when it has none any more.
    package var onChange: (@NetworkActor (IPAddress.Family, PortMapping?) -> Void)?
    private let ports: [IPAddress.Family: UInt16]
    private let make: MakeMapper
    private var mappers: [IPAddress.Family: PortMapper] = [:]
    private var isStopped = false

    /// - Parameters:
    ///   - sockets: the node's own; those that only this machine reaches are left out.
    ///   - make: gives the mapper of one port; `nil` where there is no gateway that could map.
    package init(
        of sockets: [SocketAddress],
        make: @escaping MakeMapper
    ) {
        self.make = make
        ports = sockets.reduce(into: [:]) { ports, socket in
            if !socket.ip.isLoopback, socket.port != 0 { ports[socket.ip.family] = socket.port }
        }
    }

    /// The mappings that stand.
    package var mappings: [PortMapping] {
        [IPAddress.Family.v4, .v6].compactMap { mappers[$0]?.mapping }
    }

    /// Where others reach this node through its gateways, as far as these told.
    package var addresses: [SocketAddress] {
        mappings.compactMap { mapping in
            mapping.externalAddress.map { SocketAddress($0, port: mapping.externalPort) }
        }
    }

    package func start() {
        for (port, family) in inOrder(ports) where mappers[family] == nil { start(port, family) }
    }

    /// Asks anew: the gateways that are still there at once, other ones from the beginning.
    package func networkChanged() {
        guard !isStopped else { return }
        for (mapper, family) in inOrder(mappers) where !mapper.isStillRight(family) {
            mappers[family] = nil
            let had = mapper.mapping
            mapper.onChange = nil
            networkTask { await mapper.stop() }
            if had != nil { onChange?(family, nil) }
        }
        for (mapper, _) in inOrder(mappers) { mapper.networkChanged() }
        start()
    }

    /// Removes the mappings, all at once; returns within ``PortMapper/removalLimit``.
    package func stop() async {
        isStopped = true
        let stopping = inOrder(mappers).map { mapper, _ in SharedTask { await mapper.stop() } }
        // The work throws nothing, and whoever is cancelled waits for nothing.
        for task in stopping { _ = try? await task.value() }
        mappers = [:]
    }

    private func inOrder<Value>(_ values: [IPAddress.Family: Value]) -> [(Value, IPAddress.Family)] {
        [IPAddress.Family.v4, .v6].compactMap { family in values[family].map { ($0, family) } }
    }

    private func start(_ port: UInt16, _ family: IPAddress.Family) {
        guard let mapper = make(port, family) else { return }
        mappers[family] = mapper
        mapper.onChange = { [weak self] mapping in self?.onChange?(family, mapping) }
        mapper.start()
    }
}
