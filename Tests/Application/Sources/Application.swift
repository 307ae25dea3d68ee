import DeP2P

/// What an application does with nothing imported but DeP2P: starts, joins, sends, receives, opens streams, connects, watches,
/// stops.
@main struct Application {
    struct Failure: Error {
        let what: String
    }

    /// Arguments: a file to send, a folder to receive it in, and one for the keys.
    static func main() async throws {
        let (file, inbox, keys) = (CommandLine.arguments[1], CommandLine.arguments[2], CommandLine.arguments[3])
        try RealmKey.generate().create(path: "\(keys)/realm.key")
        let realm = try RealmKey.load(path: "\(keys)/realm.key")
        let identity = IdentityKey.generate()
        try IdentityFile.create(identity, path: "\(keys)/identity.pem")
        let sender = try await node(realm, try IdentityFile.load(path: "\(keys)/identity.pem"))
        try check(sender.nodeID == identity.nodeID, "the identity is the one that was kept")
        let receiver = try await node(realm, .generate(), allowing: [sender.nodeID])

        let events = await receiver.events(of: [.sessions, .transfers])
        let watching = Task { await watch(events) }
        try await receiver.receive(into: inbox) { message in
            message.from == identity.nodeID ? Array("got ".utf8) + message.body : nil
        }
        let target = DialTarget(await receiver.addresses[0])
        let reply = try await sender.send("build 512 is green", to: target)
        try check(reply == Array("got build 512 is green".utf8), "a message is replied to")
        let summary = try await sender.send(files: [file], to: target)
        try check(summary.files.count == 1 && summary.failed.isEmpty, "a file is sent")
        try await refusals(sender, target, realm)
        try await streams(sender, receiver)
        try await resets(sender, receiver)
        try await connections(realm)
        try await relaying(realm)
        try await articles(realm, inbox: inbox, keys: keys)

        await sender.stop()
        await receiver.stop()
        let seen = await watching.value
        try check(seen.isSuperset(of: ["opened", "admitted", "stored", "done", "ended"]), "events tell of it: \(seen)")
        print("an application has sent, received, streamed, pinged, watched and stopped")
    }

    static func node(
        _ realm: RealmKey?, _ identity: IdentityKey, allowing senders: Set<NodeID>? = nil,
        change: (inout NodeConfiguration) -> Void = { _ in }
    ) async throws -> Node {
        var configuration = NodeConfiguration(identity: identity)
        try configuration.listen(on: Address("/ip4/127.0.0.1/udp/0/quic-v1"))
        configuration.mapsPorts = false
        configuration.preset = .minimal
        if let senders { configuration.access = .only(senders) }
        change(&configuration)
        let node = try await Node.start(configuration)
        if let realm { try await node.join(realm) }
        return node
    }

    /// Errors have codes to act on.
    static func refusals(_ sender: Node, _ target: DialTarget, _ realm: RealmKey) async throws {
        do {
            try await sender.send(files: ["/nonexistent/file"], to: target)
            throw Failure(what: "a missing file is said")
        } catch let error as DeP2PError {
            try check(error.code.rawValue == "notFound", "a missing file is said: \(error)")
        }
        let stranger = try await node(realm, .generate())
        do {
            try await stranger.send("hello", to: target)
            throw Failure(what: "a node that is not allowed is told so")
        } catch let error as DeP2PError {
            try check(error.code == .notAllowed, "a node that is not allowed is told so: \(error.code) \(error)")
        }
        await stranger.stop()
    }

    static func watch(_ events: NodeEvents) async -> Set<String> {
        var seen: Set<String> = []
        for await event in events {
            switch event {
            case .session(_, .opened): seen.insert("opened")
            case .session(_, .admitted): seen.insert("admitted")
            case .session(_, .ended): seen.insert("ended")
            case .transfer(_, .event(.stored)): seen.insert("stored")
            case .transfer(_, .ended(.success)): seen.insert("done")
            default: break
            }
        }
        return seen
    }

    static func check(_ isTrue: Bool, _ what: String) throws {
        if !isTrue { throw Failure(what: what) }
    }
}
