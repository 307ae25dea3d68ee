import DeP2P

// What the articles of Sources/DeP2P/DeP2P.docc show: each of their examples is in this file, word for word.

func identity(at path: String) throws -> IdentityKey {
    do {
        return try IdentityFile.load(path: path)
    } catch {
        guard error.code == .fileMissing else { throw error }
        let new = IdentityKey.generate()
        try IdentityFile.create(new, path: path)
        return new
    }
}

func start(identityAt path: String) async throws -> Node {
    var configuration = NodeConfiguration(identity: try identity(at: path))
    configuration.preset = .server
    configuration.preset.setWatermarks(low: 50, high: 200)
    return try await Node.start(configuration)
}

func join(_ node: Node, keyAt path: String) async throws {
    let key = try RealmKey.load(path: path)
    try await node.join(key)
    print("in the realm", key.id)
}

func send(_ file: String, to nodeID: NodeID, from node: Node) async throws {
    do {
        let summary = try await node.send(files: [file], to: DialTarget(nodeID))
        print("\(summary.bytes) bytes arrived, and are safe on disk")
    } catch {
        guard error.code == .notAllowed else { throw error }
        print("\(nodeID) takes nothing from this node")
    }
}

func receive(into folder: String, on node: Node) async throws {
    try await node.receive(into: folder) { message in
        message.body == Array("ping".utf8) ? Array("pong".utf8) : nil
    }
}

func watchPeers(of node: Node) async {
    for await event in await node.events(of: .peers) {
        guard case .peer(let presence) = event else { continue }
        print(presence.nodeID, presence.state.rawValue, presence.reason?.rawValue ?? "")
    }
}

/// A part of an application that has a node.
actor Presence {
    private let node: Node
    private var watching: Task<Void, Never>?
    private(set) var online: Set<NodeID> = []

    init(_ node: Node) { self.node = node }

    func begin() async {
        let events = await node.events(of: .peers)
        watching = Task { await watch(events) }
    }

    /// The events end with the node, and with them the task.
    func end() async {
        await node.stop()
        await watching?.value
    }

    private func watch(_ events: NodeEvents) async {
        for await event in events {
            if case .peer(let presence) = event { note(presence) }
        }
    }

    private func note(_ presence: PeerPresence) {
        if presence.state == .offline { online.remove(presence.nodeID) } else { online.insert(presence.nodeID) }
    }
}

extension Application {
    /// The examples do what the articles say.
    static func articles(_ realm: RealmKey, inbox: String, keys: String) async throws {
        let (left, right) = (try await node(nil, .generate()), try await node(nil, .generate()))
        for node in [left, right] { try await join(node, keyAt: "\(keys)/realm.key") }
        let presence = Presence(right)
        await presence.begin()
        let events = await right.events(of: .peers)
        try await right.receive(into: inbox) { message in message.body == Array("ping".utf8) ? Array("pong".utf8) : nil
        }
        let reply = try await left.send("ping", to: DialTarget(await right.addresses[0]))
        try check(reply == Array("pong".utf8), "a message is replied to")
        for await event in events {
            if case .peer(let presence) = event, presence.nodeID == left.nodeID { break }
        }
        try check(await presence.online.isSubset(of: [left.nodeID]), "who is online is known")
        await left.stop()
        await presence.end()
        let kept = "\(keys)/kept.pem"
        let first = try await start(identityAt: kept)
        await first.stop()
        let second = try await start(identityAt: kept)
        try check(first.nodeID == second.nodeID, "a node is the same when it starts again")
        await second.stop()
    }
}
