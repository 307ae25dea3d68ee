import DeP2P

extension Output {
    /// Says from now on how others reach the node.
    @NetworkActor
    func reportChanges(of node: Node, _ events: EventReader) {
        for mapping in node.portMappings { report(mapping) }
        events.observe { [self, weak node] event in
            guard let node else { return }
            switch event {
            case .portMapping(_, let mapping): report(mapping)
            case .reachability(let state): report(state, of: node)
            case .networkChanged: reportAddresses(of: node)
            case .realmRelay(let isServing):
                self.event("realm_relay", [.string("state", isServing ? "serving" : "stopped")])
                note("\(isServing ? "relaying" : "no longer relaying") for the members of the realm")
            default: break
            }
        }
    }

    /// Says from now on over which path a member comes, when that changes.
    @NetworkActor
    func reportPaths(of node: Node, _ events: EventReader) {
        events.observe { [self, weak node] event in
            guard case .session(let session, .moved(let path)) = event,
                node?.connections.session(id: session.id)?.isAdmitted ?? false
            else { return }
            self.event("path", [.string("from", session.nodeID.description), .string("path", path.description)])
            detail("\(session.nodeID): the path is now \(path)")
        }
    }

    @NetworkActor
    private func reportAddresses(of node: Node) {
        let addresses = node.addresses.map(\.description)
        event("addresses", [JSONField("addresses", .array(addresses.map(JSONValue.string)))])
        note("the network has changed")
        for address in addresses { note("listening on \(address)") }
    }

    /// Whether others reach the node straight.
    @NetworkActor
    func report(_ state: Reachability.State, of node: Node) {
        let addresses = node.addresses.map(\.description)
        event(
            "reachability",
            [
                .string("state", state.rawValue),
                JSONField("addresses", .array(addresses.map(JSONValue.string))),
            ])
        switch state {
        case .reachable: note("reachable from everywhere at \(addresses.first ?? "")")
        case .unreachable: note("not reachable from outside by itself: others come by hole punching or a relay")
        case .unknown: detail("whether others reach this node from outside is not known")
        }
    }

    /// What a router has opened for this node; nil: nothing any more.
    func report(_ mapping: PortMapping?) {
        let address = mapping?.externalAddress
        event(
            "port_mapping",
            [
                .string("protocol", mapping?.kind.rawValue), .string("address", address?.description),
                mapping.map { .int("port", $0.externalPort) } ?? JSONField("port", .null),
            ])
        guard let mapping else { return note("the router has closed the port") }
        let place = address.map { "\(SocketAddress($0, port: mapping.externalPort))" } ?? "port \(mapping.externalPort)"
        note("the router forwards \(place) to this node (\(mapping.kind.name))")
    }
}
