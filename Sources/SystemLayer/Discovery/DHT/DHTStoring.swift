internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// Something that this node has others keep.
enum DHTRecord: Sendable {
    case item(MutableItem)
    /// This node provides what `key`, a multihash, stands for; where it is then is told with each request.
    case provider(key: [UInt8])

    var place: DHTKey {
        switch self {
        case .item(let item): item.key
        case .provider(let key): DHTKey(hashing: key)
        }
    }

    /// What is asked of a node that is to keep it: who is nearer, and for a token.
    var question: DHTRequest {
        switch self {
        case .item(let item): .getItem(key: item.publicKey + item.salt)
        case .provider(let key): .getProviders(key: key)
        }
    }
}

/// One record put with everybody who is to have it: carries out what ``StoreMachine`` decides.
///
/// Calling order: make it; once ``run()``, which looks for those, or ``run(with:)``, where somebody has. Both return when most
/// have it, and the rest is put with all the same.
@NetworkActor
final class DHTStoring {
    private let dht: DHTNode
    private let record: DHTRecord
    private let driver: MachineDriver<StoreMachine>
    /// What each node wants to be shown.
    private var tokens: [DHTKey: [UInt8]] = [:]
    private let placing = Waiter<Int>()

    init(_ dht: DHTNode, _ record: DHTRecord) {
        (self.dht, self.record) = (dht, record)
        driver = MachineDriver(StoreMachine(key: record.place, reach: dht.size.reach), clock: dht.clock)
        // Whoever runs it, or is still asked, keeps it.
        driver.carryOut = { [weak self] in self?.carryOut($0) }
    }

    /// - Returns: how many have it by the time that most do, or at the end when these are fewer.
    func run() async -> Int {
        networkTask { [self] in
            let lookup = DHTLookup(dht, record.question, scope: .store(reach: dht.size.reach))
            lookup.onAnswer = { [weak self] contact, answer in self?.found(contact, answer.response.token) }
            let closest = await lookup.run().closest
            // Who gives no token stores nothing.
            driver.handle { [tokens] machine, now in
                machine.lookedUp(closest.filter { tokens[$0.key] != nil }, now: now)
            }
        }
        return await placed()
    }

    /// - Parameter closest: all that have answered in the region where the record lies; each is asked for its token.
    func run(with closest: [DHTContact]) async -> Int {
        driver.handle { machine, now in machine.lookedUp(closest, now: now) }
        return await placed()
    }

    private func placed() async -> Int {
        // Cancelled: who is asked is asked all the same.
        (try? await placing.value()) ?? 0
    }

    private func found(_ contact: DHTContact, _ token: [UInt8]) {
        guard !token.isEmpty else { return }
        tokens[contact.key] = token
        driver.handle { $0.found(contact, now: $1) }
    }

    private func carryOut(_ actions: [StoreMachine.Action]) {
        for action in actions {
            switch action {
            case .put(let contact): put(contact)
            case .placed(let count): placing.resume(returning: count)
            case .finished(let outcome):
                placing.resume(returning: outcome.stored)
                driver.stop()
            }
        }
    }

    private func put(_ contact: DHTContact) {
        networkTask { [self] in
            let isStored = await traced(awaiting: "storing a record") { try await ask(contact) } ?? false
            driver.handle { machine, now in
                isStored ? machine.stored(contact.key, now: now) : machine.failed(contact.key, now: now)
            }
        }
    }

    /// - Returns: whether it has taken the record.
    private func ask(_ contact: DHTContact) async throws -> Bool {
        var token = tokens[contact.key]
        if token == nil { token = try await dht.ask(contact, record.question).response.token }
        guard let token, !token.isEmpty, let request = dht.request(toStore: record, with: contact, token) else {
            return false
        }
        return try await dht.ask(contact, request).response.refusal == nil
    }
}
