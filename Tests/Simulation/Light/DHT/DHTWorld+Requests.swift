internal import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PReactor

/// One request that is under way.
struct DHTCall {
    enum Request {
        /// The nodes closest to a key, and the record there.
        case find(DHTKey)
        case store(MutableItem, token: [UInt8])
    }

    let from: Int
    let fromKey: DHTKey
    let to: DHTContact
    let request: Request
    /// The operation that it belongs to; `nil` for a check of the table's.
    let operation: Int?
}

struct DHTAnswer {
    var closer: [DHTContact] = []
    var item: MutableItem?
    var token: [UInt8] = []
    var isStored = false
}

extension DHTWorld {
    func send(_ request: DHTCall.Request, to contact: DHTContact, from node: DHTWorldNode, for operation: DHTOperation?)
    {
        nextNumber += 1
        let number = nextNumber
        calls[number] = DHTCall(
            from: node.index, fromKey: node.contact.key, to: contact, request: request, operation: operation?.number)
        schedule(.timeout(call: number), after: LookupMachine.requestTimeout)
        let item = if case .store = request { DHTWeight.item } else { 0 }
        guard let index = indexes[contact.key], !nodes[index].isClient else {
            count(messages: 1, bytes: DHTWeight.unansweredDial, for: operation)
            return
        }
        let connected = operation?.connections[contact.key]
        let ready = connected ?? now.advanced(by: roundTrip(node, nodes[index]))
        if connected == nil { count(messages: 0, bytes: DHTWeight.handshake, for: operation) }
        operation?.connections[contact.key] = ready
        count(messages: 1, bytes: DHTWeight.request + item, for: operation)
        schedule(.arrival(call: number), at: max(now, ready).advanced(by: flight(node, nodes[index])))
    }

    /// A connection ahead of need.
    func dial(_ contact: DHTContact, from node: DHTWorldNode, for operation: DHTOperation) {
        guard let index = indexes[contact.key], !nodes[index].isClient else {
            return count(messages: 0, bytes: DHTWeight.unansweredDial, for: operation)
        }
        count(messages: 0, bytes: DHTWeight.handshake, for: operation)
        operation.connections[contact.key] = now.advanced(by: roundTrip(node, nodes[index]))
    }

    private func count(messages: Int, bytes: Int, for operation: DHTOperation?) {
        operation?.messages += messages
        operation?.bytes += bytes
        if case .refresh? = operation?.goal ?? .refresh {
            idleMessages += messages
            idleBytes += bytes
        }
    }

    private func flight(_ from: DHTWorldNode, _ to: DHTWorldNode) -> Duration {
        trips.flight(from.place, to.place, loss: settings.loss, using: &random)
    }

    private func roundTrip(_ from: DHTWorldNode, _ to: DHTWorldNode) -> Duration { flight(from, to) + flight(to, from) }

    // MARK: At the other side

    func arrive(_ number: Int) {
        guard let call = calls[number], let index = indexes[call.to.key] else { return }
        let (node, asker) = (nodes[index], nodes[call.from])
        guard node.isUp, asker.contact.key == call.fromKey else { return }
        let isCheck = call.operation == nil
        let answer = isCheck ? DHTAnswer() : answer(call.request, of: asker, at: node)
        if !asker.isClient { carryOut(node.table.heard(of: asker.contact, subnet: asker.subnet), at: node) }
        // Whom the answer to a check names nobody looks at.
        let named = isCheck ? Self.answerCount : answer.closer.count
        let weight = DHTWeight.answer + named * DHTWeight.contact + (answer.item == nil ? 0 : DHTWeight.item)
        count(messages: 1, bytes: weight, for: call.operation.flatMap { asker.operations[$0] })
        schedule(.answer(call: number, answer), after: flight(node, asker))
    }

    private func answer(_ request: DHTCall.Request, of asker: DHTWorldNode, at node: DHTWorldNode) -> DHTAnswer {
        switch request {
        case .find(let key):
            let token = node.tokens.token(for: asker.contact.nodeID, key: key, now: now)
            let item = node.conduct == .honest ? node.store.item(for: key, now: now) : nil
            return DHTAnswer(closer: closer(to: key, for: asker, at: node), item: item, token: token)
        case .store(let item, let token):
            guard node.tokens.accepts(token, from: asker.contact.nodeID, key: item.key, now: now) else {
                return DHTAnswer()
            }
            let publisher = RecordStore.Publisher(asker.contact.nodeID, subnet: asker.subnet)
            // A refusal is an answer too.
            let isStored = (try? node.store.store(item, from: publisher, reach: node.size.reach, now: now)) != nil
            return DHTAnswer(isStored: isStored)
        }
    }

    private func closer(to key: DHTKey, for asker: DHTWorldNode, at node: DHTWorldNode) -> [DHTContact] {
        switch node.conduct {
        case .honest, .withhold:
            return node.table.closest(to: key, count: Self.answerCount + 1).filter { $0 != asker.contact }
                .prefix(Self.answerCount).map(\.self)
        case .lie: return accomplices(nearestTo: key)
        case .invent:
            return (0..<Self.answerCount).map { _ in
                contact(at: publicAddress(), key: key.random(sharing: 40, using: &random))
            }
        }
    }

    // MARK: Back

    func receive(_ answer: DHTAnswer, of number: Int) {
        guard let call = calls.removeValue(forKey: number) else { return }
        let node = nodes[call.from]
        guard node.isUp, node.contact.key == call.fromKey, let index = indexes[call.to.key] else { return }
        carryOut(node.table.answered(call.to, subnet: nodes[index].subnet, now: now), at: node)
        guard let number = call.operation, let operation = node.operations[number] else { return }
        switch call.request {
        case .find:
            operation.tokens[call.to.key] = answer.token
            take(answer, from: call.to, operation, of: node)
        case .store:
            let key = call.to.key
            let actions =
                answer.isStored
                ? operation.store?.stored(key, now: now) : operation.store?.failed(key, now: now)
            carryOut(actions ?? [], operation, of: node)
        }
    }

    func giveUp(_ number: Int) {
        guard let call = calls.removeValue(forKey: number) else { return }
        let node = nodes[call.from]
        guard node.isUp, node.contact.key == call.fromKey else { return }
        // What nobody waits for any more was given up before: that says nothing of the other side.
        if let number = call.operation, node.operations[number] == nil { return }
        carryOut(node.table.failed(call.to.key), at: node)
        guard let number = call.operation, let operation = node.operations[number] else { return }
        switch call.request {
        case .find: carryOut(operation.lookup.failed(call.to.key, now: now), operation, of: node)
        case .store: carryOut(operation.store?.failed(call.to.key, now: now) ?? [], operation, of: node)
        }
    }
}
