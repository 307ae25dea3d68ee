internal import DeP2PIdentity
internal import DeP2PReactor

/// One lookup in the BitTorrent DHT among the nodes of one family: carries out what ``MainlineLookup`` decides.
///
/// Calling order: ``start(seeds:)``, ``received(_:from:)`` and ``unreachable(_:)`` as it happens, ``outcome()``
/// once; ``stop()`` when the time is over.
@NetworkActor
final class MainlineSearch {
    /// What it is for.
    enum Errand {
        case find(@NetworkActor (MutableItem) -> Void)
        case store(MutableItem)
    }

    let number: Int
    private let key: [UInt8]
    private let target: MainlineID
    private let errand: Errand
    let family: IPAddress.Family
    private weak var node: MainlineNode?
    private let clock: any NetworkClock
    private var driver: MachineDriver<MainlineLookup>?
    private let ending = Waiter<MainlineLookup.Outcome>()
    private var last = MainlineLookup.Outcome()

    /// - Parameter key: public key and salt.
    init(number: Int, of key: [UInt8], _ errand: Errand, _ family: IPAddress.Family, node: MainlineNode) {
        (self.number, self.key, self.errand, self.node) = (number, key, errand, node)
        (target, self.family, clock) = (MainlineID(ofItem: key), family, node.clock)
    }

    func start(seeds: [MainlineContact]) {
        let isStoring = if case .store = errand { true } else { false }
        let machine = MainlineLookup(target: target, purpose: isStoring ? .store : .find, seeds: seeds)
        let driver = MachineDriver(machine, clock: clock)
        self.driver = driver
        driver.carryOut = { [weak self] in self?.carryOut($0) }
        driver.handle { $0.start(now: $1) }
    }

    func stop() { driver?.handle { machine, _ in machine.stop() } }

    /// Waits for it. In a task that is cancelled it ends at once.
    func outcome() async -> MainlineLookup.Outcome {
        do { return try await ending.value() } catch {
            stop()
            return last
        }
    }

    private func carryOut(_ actions: [MainlineLookup.Action]) {
        for action in actions {
            switch action {
            case .seekEntrances: seekEntrances()
            case .ask(let address, .findNode): node?.ask(address, .findNode(target), for: self)
            case .ask(let address, .get): node?.ask(address, .get(target), for: self)
            case .put(let address, let token):
                if case .store(let item) = errand { node?.ask(address, .put(item, token: token), for: self) }
            case .finished(let outcome):
                driver?.stop()
                last = outcome
                node?.ended(self, outcome)
                ending.resume(returning: outcome)
            }
        }
    }

    private func seekEntrances() {
        networkTask { [weak self] in
            guard let self else { return }
            let all = await node?.entrances() ?? []
            driver?.handle { [family] machine, now in
                machine.found(entrances: all.filter { $0.ip.family == family }, now: now)
            }
        }
    }

    func received(_ body: KRPCReply.Body, from address: SocketAddress) {
        switch body {
        case .error: driver?.handle { $0.refused(address, now: $1) }
        case .answer(let answer):
            if case .find(let onItem) = errand, let item = answer.item?.item(of: key) { onItem(item) }
            let contacts = node?.usable(answer.contacts, from: address) ?? []
            driver?.handle { machine, now in
                machine.isPutting
                    ? machine.stored(address, now: now)
                    : machine.answered(address, by: answer.id, contacts: contacts, token: answer.token, now: now)
            }
        }
    }

    func unreachable(_ address: SocketAddress) { driver?.handle { $0.failed(address, now: $1) } }
}
