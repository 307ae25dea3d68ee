package import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PReactor

extension DHTWorld {
    /// Looks up the nodes nearest to a key.
    package func find(_ key: DHTKey, from node: DHTWorldNode, then completion: @escaping (DHTOperationResult) -> Void) {
        let scope = LookupMachine.Scope(reach: .zero, nearest: DHT.replication)
        begin(.find, key, scope: scope, at: node, then: completion)
    }

    /// Looks up a record: it is there with the first node that has it.
    package func get(_ key: DHTKey, from node: DHTWorldNode, then completion: @escaping (DHTOperationResult) -> Void) {
        begin(.get, key, scope: .record(reach: node.size.reach), at: node, then: completion)
    }

    package func put(
        _ item: MutableItem, from node: DHTWorldNode, then completion: @escaping (DHTOperationResult) -> Void
    ) {
        begin(.put(item), item.key, scope: .store(reach: node.size.reach), at: node, then: completion)
    }

    // MARK: The table

    func carryOut(_ actions: [RoutingTable.Action], at node: DHTWorldNode) {
        for action in actions {
            switch action {
            case .check(let contact): send(.find(node.contact.key), to: contact, from: node, for: nil)
            case .refresh(let bucket):
                let key = bucket.map { node.table.target(inBucket: $0, using: &random) } ?? node.contact.key
                begin(.refresh, key, scope: .target, at: node, then: nil)
            }
        }
        guard let wake = node.table.wake, wake < node.wakesAt else { return }
        node.wakesAt = max(wake, now)
        schedule(.table(node: node.index, node.contact.key), at: node.wakesAt)
    }

    // MARK: Operations

    private func begin(
        _ goal: DHTOperation.Goal, _ key: DHTKey, scope: LookupMachine.Scope, at node: DHTWorldNode,
        then completion: ((DHTOperationResult) -> Void)?
    ) {
        nextNumber += 1
        let lookup = LookupMachine(
            target: key, scope: scope, localKey: node.contact.key, seeds: seeds(of: node, near: key), now: now)
        let operation = DHTOperation(number: nextNumber, goal: goal, lookup: lookup, startedAt: now)
        operation.completion = completion
        if case .put = goal { operation.store = StoreMachine(key: key, reach: node.size.reach) }
        node.operations[operation.number] = operation
        node.table.lookedUp(key, now: now)
        carryOut(operation.lookup.start(now: now), operation, of: node)
    }

    private func seeds(of node: DHTWorldNode, near key: DHTKey) -> [DHTContact] {
        let known = node.table.isSparse ? nodes.prefix(Self.bootstrapCount).map(\.contact) : []
        return node.table.seeds(near: key, remembered: [], bootstrap: known)
    }

    func take(_ answer: DHTAnswer, from contact: DHTContact, _ operation: DHTOperation, of node: DHTWorldNode) {
        let actions = operation.lookup.answered(contact.key, closer: answer.closer, now: now)
        if case .get = operation.goal, let item = answer.item, item.isSigned {
            let rounds = operation.lookup.rounds(to: contact.key)
            return end(operation, of: node, isSuccess: true, rounds: rounds)
        }
        carryOut(actions, operation, of: node)
        carryOut(operation.store?.found(contact, now: now) ?? [], operation, of: node)
    }

    func wake(_ operation: DHTOperation, of node: DHTWorldNode) {
        carryOut(operation.store?.timerFired(now: now) ?? [], operation, of: node)
        carryOut(operation.lookup.timerFired(now: now), operation, of: node)
    }

    func carryOut(_ actions: [LookupMachine.Action], _ operation: DHTOperation, of node: DHTWorldNode) {
        for action in actions {
            switch action {
            case .ask(let contact): send(.find(operation.lookup.target), to: contact, from: node, for: operation)
            case .dial(let contact): dial(contact, from: node, for: operation)
            case .finished(let outcome): finish(outcome, operation, of: node)
            }
        }
        arm(operation, at: operation.lookup.wake, of: node)
    }

    private func finish(_ outcome: LookupMachine.Outcome, _ operation: DHTOperation, of node: DHTWorldNode) {
        switch operation.goal {
        case .refresh:
            let target = operation.lookup.target
            if outcome.hasArrived, target != node.contact.key { node.size.lookedUp(target, closest: outcome.closest) }
            end(operation, of: node, isSuccess: outcome.hasArrived, rounds: outcome.rounds)
        case .find:
            end(operation, of: node, isSuccess: outcome.hasArrived, rounds: outcome.rounds, closest: outcome.closest)
        case .get: end(operation, of: node, isSuccess: false, rounds: outcome.rounds, closest: outcome.closest)
        case .put:
            carryOut(operation.store?.lookedUp(outcome.closest, now: now) ?? [], operation, of: node)
        }
    }

    func carryOut(_ actions: [StoreMachine.Action], _ operation: DHTOperation, of node: DHTWorldNode) {
        guard case .put(let item) = operation.goal else { return }
        for action in actions {
            switch action {
            case .put(let contact):
                let token = operation.tokens[contact.key] ?? []
                send(.store(item, token: token), to: contact, from: node, for: operation)
            case .placed(let count): report(operation, isSuccess: true, rounds: 0, closest: [], stored: count)
            case .finished(let outcome):
                end(operation, of: node, isSuccess: false, rounds: 0, stored: outcome.stored)
            }
        }
        arm(operation, at: operation.store?.wake, of: node)
    }

    private func arm(_ operation: DHTOperation, at wake: NetworkInstant?, of node: DHTWorldNode) {
        guard let wake, wake < operation.wakesAt, node.operations[operation.number] != nil else { return }
        operation.wakesAt = max(wake, now)
        schedule(.operation(node: node.index, node.contact.key, number: operation.number), at: operation.wakesAt)
    }

    private func end(
        _ operation: DHTOperation, of node: DHTWorldNode, isSuccess: Bool, rounds: Int, closest: [DHTContact] = [],
        stored: Int = 0
    ) {
        node.operations[operation.number] = nil
        report(operation, isSuccess: isSuccess, rounds: rounds, closest: closest, stored: stored)
    }

    private func report(
        _ operation: DHTOperation, isSuccess: Bool, rounds: Int, closest: [DHTContact], stored: Int
    ) {
        let completion = operation.completion
        operation.completion = nil
        completion?(
            DHTOperationResult(
                elapsed: now.duration(since: operation.startedAt), isSuccess: isSuccess,
                requests: operation.lookup.requestCount, messages: operation.messages, bytes: operation.bytes,
                rounds: rounds, closest: closest, stored: stored))
    }
}
