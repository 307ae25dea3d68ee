internal import DeP2PHTTP
internal import DeP2PIdentity
internal import DeP2PReactor

/// Shows programs of this machine what the node does, when it is asked to: until then it is a few words of memory.
///
/// What is shown is put together on the network thread, by value, and written down and sent elsewhere; how often is bounded by
/// ``LocalRoute/lifetime``.
@NetworkActor
final class IntrospectionPart: NodePart {
    private weak var node: Node?
    let agent: String
    let preset: Preset
    let environment: NodeEnvironment
    /// What relays the user named.
    let relaysWanted: Int
    private let startedAt: NetworkInstant
    private let startedOn: UInt64
    private var server: LocalHTTPServer?
    private var isAsked = false
    private(set) var failures = FailureLog()

    init(of node: Node, _ configuration: NodeConfiguration, in environment: NodeEnvironment) {
        self.node = node
        (agent, preset, self.environment) = (configuration.agent, configuration.preset, environment)
        relaysWanted = configuration.usesRelays && configuration.reserves ? configuration.relays.count : 0
        (startedAt, startedOn) = (environment.clock.now, environment.wallClock())
    }

    var address: LocalAddress? { server?.address }
    var upTime: Duration { environment.clock.now.duration(since: startedAt) }
    /// Milliseconds since 1970.
    var startTime: UInt64 { startedOn }

    /// - Returns: the address with its real port.
    func start(on address: LocalAddress) throws(DeP2PError) -> LocalAddress {
        guard !isAsked, let node else { throw DeP2PError(.cannotListen, "this node is shown somewhere already") }
        isAsked = true
        let events = node.events(of: [.node, .sessions, .relays, .transfers, .messages], capacity: 1024)
        networkTask { [weak self, environment] in
            for await event in events { self?.failures.note(event, at: environment.wallClock()) }
        }
        do {
            let server = try LocalHTTPServer(on: address, routes: Self.routes(of: node))
            self.server = server
            return server.address
        } catch {
            isAsked = false
            events.cancel()
            throw DeP2PError(error)
        }
    }

    func stop() async {
        guard let server else { return }
        self.server = nil
        // Cancelled or not, the thread ends at once.
        try? await offload { server.stop() }
    }
}

extension IntrospectionPart {
    private typealias Document = @NetworkActor @Sendable (Node, IntrospectionPart) -> JSON

    private nonisolated static func routes(of node: Node) -> [String: LocalRoute] {
        let documents: [String: Document] = [
            "/health": { $0.healthDocument($1) }, "/node": { $0.nodeDocument($1) },
            "/connections": { node, _ in node.connectionsDocument }, "/realm": { node, _ in node.realmDocument },
            "/relay": { node, _ in node.relayDocument }, "/dht": { node, _ in node.dhtDocument },
            "/pubsub": { node, _ in node.pubsubDocument }, "/bandwidth": { node, _ in node.bandwidthDocument },
        ]
        var routes = documents.mapValues { document in
            LocalRoute("application/json") { [weak node] in
                guard let shown = await Self.show(node, document) else { return Self.gone }
                return LocalContent(shown.encoded)
            }
        }
        for (path, namesPeers) in [("/metrics", false), ("/metrics?peers", true)] {
            routes[path] = LocalRoute(MetricsText.contentType) { [weak node] in
                guard let facts = await Self.metrics(node, namesPeers: namesPeers) else { return Self.gone }
                return LocalContent(facts.text)
            }
        }
        routes["/"] = LocalRoute(
            "text/html; charset=utf-8",
            headers: [
                ("Content-Security-Policy", IntrospectionPage.policy), ("X-Frame-Options", "DENY"),
            ]
        ) { LocalContent(IntrospectionPage.html) }
        return routes
    }

    private nonisolated static var gone: LocalContent {
        LocalContent(JSON.object([.init("v", .int(1)), .init("status", .string("stopped"))]).encoded, status: 503)
    }

    private static func show(_ node: Node?, _ document: Document) -> JSON? {
        guard let node, let part = node.introspection else { return nil }
        return document(node, part)
    }

    private static func metrics(_ node: Node?, namesPeers: Bool) -> NodeMetrics? {
        guard let node, let part = node.introspection else { return nil }
        return NodeMetrics(node, part, namesPeers: namesPeers)
    }
}
