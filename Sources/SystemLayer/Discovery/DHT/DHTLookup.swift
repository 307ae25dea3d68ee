package import DeP2PIdentity
package import DeP2PReactor
internal import DeP2PSessions

/// One lookup in the DHT: carries out what ``LookupMachine`` decides.
///
/// Calling order: make it, set ``onQuery`` and ``onAnswer``, ``run()`` once; ``stop()`` when what was looked for is there.
@NetworkActor
package final class DHTLookup {
    /// One node that was asked, and what came of it.
    package struct Query: Sendable {
        package let contact: DHTContact
        package let distance: XORDistance
        package let elapsed: Duration
        package let outcome: Outcome
        /// Whether it named the node, or had the item or providers, that were asked for.
        package let holds: Bool

        package enum Outcome: Sendable {
            /// So many nodes were named.
            case answered(Int)
            case failed(any Error)
        }
    }

    package let target: DHTKey
    /// Whom nothing is asked: the node that is looked for, which need not serve the DHT.
    private let spared: NodeID?
    private let dht: DHTNode
    private let request: DHTRequest
    private let scope: LookupMachine.Scope
    private var driver: MachineDriver<LookupMachine>?
    private var isStopped = false
    private let ending = Waiter<LookupMachine.Outcome>()
    private var tasks: [UInt64: Task<Void, Never>] = [:]
    private var lastTask: UInt64 = 0
    /// Nodes asked so far, and those that have answered.
    package private(set) var asked: Set<NodeID> = []
    package private(set) var answered: Set<NodeID> = []
    /// Of each node that was heard of, the answers that lay one behind the other until it was.
    private var depths: [NodeID: Int] = [:]
    package var onQuery: (@NetworkActor (Query) -> Void)?
    /// Called with the node that was spared, each time that somebody names it.
    package var onFound: (@NetworkActor (DHTContact) -> Void)?
    /// Called with each answer that has the item or the providers that were asked for.
    package var onHolder: (@NetworkActor (DHTContact, DHTResponse) -> Void)?
    /// Called with each answer, before the lookup goes on.
    var onAnswer: (@NetworkActor (DHTContact, DHTNode.Answer) -> Void)?

    /// - Parameters:
    ///   - request: what each node is asked; its place is the target.
    ///   - spared: a node that is not asked itself.
    package init(
        _ dht: DHTNode, _ request: DHTRequest, scope: LookupMachine.Scope = .target, sparing spared: NodeID? = nil
    ) {
        (self.dht, self.request, self.scope, self.spared) = (dht, request, scope, spared)
        target = request.place
    }

    /// Looks until it has arrived, is stopped, or its time is over. In a task that is cancelled it ends at once.
    package func run() async -> LookupMachine.Outcome {
        let seeds = await dht.seeds(near: target).filter { $0.nodeID != spared }
        let machine = LookupMachine(
            target: target, scope: scope, localKey: dht.table.machine.localKey, seeds: seeds, now: dht.clock.now)
        let driver = MachineDriver(machine, clock: dht.clock)
        self.driver = driver
        for seed in seeds { depths[seed.nodeID] = 0 }
        driver.carryOut = { [weak self] in self?.carryOut($0) }
        // Whom it could begin with took longer than it was given.
        driver.handle { [isStopped] in isStopped ? $0.stop() : $0.start(now: $1) }
        // Cancelled: what was found by then is what there is.
        let outcome = (try? await ending.value()) ?? stopped()
        driver.stop()
        for task in tasks.valuesInOrder { task.cancel() }
        if !seeds.isEmpty { dht.ended(lookupOf: target) }
        return outcome
    }

    package func stop() {
        isStopped = true
        driver?.handle { machine, _ in machine.stop() }
    }

    /// Requests that lay one behind the other until that node was heard of.
    package func rounds(to nodeID: NodeID) -> Int { depths[nodeID] ?? 0 }

    private func stopped() -> LookupMachine.Outcome {
        var outcome = LookupMachine.Outcome(closest: [], requests: 0, failures: 0, rounds: 0, hasArrived: false)
        driver?.note { machine, _ in
            for case .finished(let last) in machine.stop() { outcome = last }
        }
        return outcome
    }

    private func carryOut(_ actions: [LookupMachine.Action]) {
        for action in actions {
            switch action {
            case .ask(let contact): ask(contact)
            case .dial(let contact): dial(contact)
            case .finished(let outcome): ending.resume(returning: outcome)
            }
        }
    }

    private func ask(_ contact: DHTContact) {
        asked.insert(contact.nodeID)
        let start = dht.clock.now
        begin { [self] in
            do {
                let answer = try await dht.ask(contact, request)
                answered.insert(contact.nodeID)
                let holds = holds(answer.response)
                tell(contact, since: start, .answered(answer.response.closer.count), holds: holds)
                let depth = rounds(to: contact.nodeID) + 1
                for named in answer.response.closer where depths[named.nodeID].map({ $0 > depth }) ?? true {
                    depths[named.nodeID] = depth
                }
                onAnswer?(contact, answer)
                if holds { onHolder?(contact, answer.response) }
                if let found = answer.response.closer.first(where: { $0.nodeID == spared }) { onFound?(found) }
                let closer = answer.response.closer.filter { $0.nodeID != spared }
                driver?.handle { $0.answered(contact.key, closer: closer, now: $1) }
            } catch {
                guard !(error is CancellationError) else { return }
                tell(contact, since: start, .failed(error))
                driver?.handle { $0.failed(contact.key, now: $1) }
            }
        }
    }

    private func dial(_ contact: DHTContact) {
        begin { [self] in
            do {
                try await dht.connect(contact)
            } catch {
                // Who is not reached now is not asked later.
                if !(error is CancellationError) { driver?.handle { $0.failed(contact.key, now: $1) } }
            }
        }
    }

    private func holds(_ response: DHTResponse) -> Bool {
        switch request {
        case .findNode: response.closer.contains { $0.nodeID == spared }
        case .getItem: response.item?.key == target
        case .getProviders: !response.providers.isEmpty
        case .findPlace, .putItem, .addProvider: false
        }
    }

    private func tell(
        _ contact: DHTContact, since start: NetworkInstant, _ outcome: Query.Outcome, holds: Bool = false
    ) {
        onQuery?(
            Query(
                contact: contact, distance: contact.key.distance(to: target),
                elapsed: dht.clock.now.duration(since: start), outcome: outcome, holds: holds))
    }

    private func begin(_ body: @escaping @NetworkActor @Sendable () async -> Void) {
        lastTask += 1
        let number = lastTask
        tasks[number] = networkTask { [weak self] in
            await body()
            self?.tasks[number] = nil
        }
    }
}
