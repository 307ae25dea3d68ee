import DeP2P
import Dispatch
import Glibc

/// A command that stays up until a signal ends it: `start`, `listen`, `relay`. It runs the node, tells people, programs
/// and the service manager when it is ready, shows that it is alive, reads its settings anew on SIGHUP where the command
/// says how, and tells that it stops.
///
/// Calling order: set ``run``'s `adjust` and ``reloading``, then ``serve(announcing:until:)`` once.
struct Daemon: Sendable {
    /// The port of commands that are to be found where they were.
    static let port: UInt16 = 4001

    var run: NodeRun
    /// What SIGHUP does; nil: it ends the command, as ever.
    var reloading: Reloading?
    let notifier: ServiceNotifier
    /// Held until the daemon is let go.
    private let claim: IdentityClaim?

    /// Reads the keys, says hello, and claims the identity.
    ///
    /// - Throws: `identityInUse` among others.
    init(_ plan: NodePlan, needsRealm: Bool, in context: RunContext) throws(CLIError) {
        run = try NodeRun(plan, needsRealm: needsRealm, in: context)
        notifier = ServiceNotifier(context.environment)
        claim = try Self.claim(plan, run.keys.identity.nodeID, context)
    }

    private static func claim(
        _ plan: NodePlan, _ nodeID: NodeID, _ context: RunContext
    ) throws(CLIError) -> IdentityClaim? {
        // Nobody else has one that was made for this run.
        guard plan.identity != .ephemeral else { return nil }
        let claim = try IdentityClaim.take(nodeID, in: plan.stateDirectory, command: context.options.command.name)
        if claim == nil {
            context.output.detail("no lock keeps another process from using this identity: the state folder has none")
        }
        return claim
    }

    /// Runs the node.
    ///
    /// - Parameters:
    ///   - announce: says where the node is, once its sockets are bound; what it returns is the manager's status line.
    ///   - work: what ends the command before a signal does; by itself nothing.
    func serve(
        announcing announce: @escaping @NetworkActor @Sendable (Node) async -> String,
        until work: @escaping @NetworkActor @Sendable (Node) async throws -> Void = { _ in
            try await Waiter<Void>().value()
        }
    ) async throws(CLIError) -> NodeRun.Outcome<Void> {
        // Until the node has stopped.
        defer { withExtendedLifetime(claim) {} }
        return try await run.run { node in
            // Whoever reads that it is there may signal at once.
            reloading?.begin(on: node, run.context)
            let status = await announce(node)
            notifier.send(.ready, .status(status))
            let watchdog = notifier.feedWatchdog(on: node.clock)
            let settling = StartMemory.releaseLater(on: node.clock)
            defer {
                settling.cancel()
                watchdog?.cancel()
                notifier.send(.stopping)
            }
            try await work(node)
        }
    }
}

extension NodeConfiguration {
    /// Listens where a command that is to be found does, unless the user says where.
    mutating func listenAtUsualPort() {
        if listen.isEmpty { listen = Self.anyAddress(port: Daemon.port) }
    }
}

extension Output {
    /// Says who the node is and where others reach it, best first.
    ///
    /// - Parameters:
    ///   - title: for people.
    ///   - more: fields of the event beside these.
    @NetworkActor
    func announce(_ node: Node, _ title: String, also more: [JSONField] = []) {
        let addresses = node.addresses.map(\.description)
        event(
            "listening",
            [
                .string("node_id", node.nodeID.description),
                JSONField("addresses", .array(addresses.map(JSONValue.string))),
            ] + more)
        note(title)
        for address in addresses { note("listening on \(address)") }
    }
}
