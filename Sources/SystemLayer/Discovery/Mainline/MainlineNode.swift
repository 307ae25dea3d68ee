package import DeP2PIdentity
package import DeP2PReactor
package import DeP2PSessions

/// What a client of the BitTorrent DHT needs of the machine and the node.
package struct MainlineSurroundings: Sendable {
    package let clock: any NetworkClock
    package let random: RandomSource
    /// Opens a socket of its own: a bencoded message looks like one of QUIC's by its first byte.
    package let open: @NetworkActor @Sendable (IPAddress.Family) throws -> any DatagramChannel
    /// Which addresses that others name may be asked.
    package let rule: @NetworkActor @Sendable () -> AddressRule
    /// The addresses of those by whom others are found; it looks up their names.
    package let entrances: @NetworkActor @Sendable () async -> [SocketAddress]

    package init(
        clock: any NetworkClock, random: RandomSource,
        open: @escaping @NetworkActor @Sendable (IPAddress.Family) throws -> any DatagramChannel,
        rule: @escaping @NetworkActor @Sendable () -> AddressRule,
        entrances: @escaping @NetworkActor @Sendable () async -> [SocketAddress]
    ) {
        (self.clock, self.random, self.open, self.rule, self.entrances) = (clock, random, open, rule, entrances)
    }
}

/// A client of the BitTorrent DHT (BEP 5, 32, 42, 43, 44): finds and stores mutable items, answers nobody, keeps nothing for
/// others. Carries out what ``MainlineLookup`` and ``MainlineUpkeep`` decide.
///
/// Calling order: make it; ``store(_:)`` and ``findItem(_:within:onItem:)`` at any time; ``networkChanged()`` when it has;
/// ``stop()``. Its sockets are open while it looks.
@NetworkActor
package final class MainlineNode {
    /// Lookups at once, and those that wait for their turn; one beyond finds nothing.
    nonisolated static let lookupLimit = 8
    nonisolated static let waitingLimit = 32
    /// How long a lookup may take, with what is put at its end.
    nonisolated static let patience = Duration.seconds(20)
    /// Ports below are other protocols', and nobody's word sends anything there.
    nonisolated static let leastPort: UInt16 = 1_024
    /// Datagrams a second, and at once.
    nonisolated static let rate = (perSecond: 200, burst: 400)
    /// For how long the entrances' names are not looked up again.
    nonisolated static let nameLifetime = Duration.seconds(1_800)

    /// Of this run, and nothing that others know this node by.
    let id: MainlineID
    let surroundings: MainlineSurroundings
    private let memory: MainlineMemory?
    private let upkeep: MachineDriver<MainlineUpkeep>
    private var contacts = MainlineContacts()
    private var isRemembered = false
    private var channels: [IPAddress.Family: any DatagramChannel] = [:]
    private var transactions = KRPCTransactions()
    private var searches: [Int: MainlineSearch] = [:]
    private var lastSearch = 0
    private var lookups = 0
    private var waiting: [Waiter<Void>] = []
    private var budget: TokenBucket
    /// The entrances that were looked up last.
    private var known: (addresses: [SocketAddress], until: NetworkInstant)?
    private let resolving = SharedTasks<Int, [SocketAddress]>()
    private var isStopped = false

    /// - Parameter memory: where those who answered are kept for the next run.
    package init(_ surroundings: MainlineSurroundings, memory: MainlineMemory?) {
        (self.surroundings, self.memory) = (surroundings, memory)
        var random = surroundings.random
        id = .random(using: &random)
        budget = TokenBucket(rate: Self.rate.perSecond, burst: Self.rate.burst, now: surroundings.clock.now)
        upkeep = MachineDriver(MainlineUpkeep(), clock: surroundings.clock)
        upkeep.carryOut = { [weak self] actions in
            for case .put(let item) in actions { networkTask { [weak self] in _ = await self?.put(item) } }
        }
    }

    var clock: any NetworkClock { surroundings.clock }

    /// Whom lookups begin with.
    var knownCount: Int { contacts.all.count }
    /// Items kept up.
    var keptCount: Int { upkeep.machine.count }

    /// What was silent may be heard now.
    package func networkChanged() {
        contacts.networkChanged()
        known = nil
        upkeep.note { $0.networkChanged(now: $1) }
    }

    package func stop() {
        isStopped = true
        upkeep.stop()
        for search in searches.valuesInOrder { search.stop() }
        closeChannels()
    }

    private func closeChannels() {
        for channel in channels.values { channel.close() }
        channels = [:]
    }

    // MARK: Lookups

    private func put(_ item: MutableItem) async -> Int {
        let outcomes = await look(item.publicKey + item.salt, .store(item), within: Self.patience)
        let stored = outcomes.reduce(0) { $0 + $1.stored }
        upkeep.note { $0.put(item, isPlaced: stored > 0, now: $1) }
        return stored
    }

    /// Looks among the nodes of both families at once.
    private func look(
        _ key: [UInt8], _ errand: MainlineSearch.Errand, within patience: Duration
    ) async -> [MainlineLookup.Outcome] {
        guard upkeep.machine.mayAsk(now: clock.now), await takeTurn(within: patience) else { return [] }
        defer { endTurn() }
        await remember()
        let target = MainlineID(ofItem: key)
        let running = [IPAddress.Family.v4, .v6].compactMap { makeSearch(key, errand, $0) }
        for search in running { search.start(seeds: contacts.seeds(near: target, search.family)) }
        let token = clock.schedule(after: patience) { for search in running { search.stop() } }
        defer { clock.cancel(token) }
        var outcomes: [MainlineLookup.Outcome] = []
        for search in running { outcomes.append(await search.outcome()) }
        let isAnswered = outcomes.contains { !$0.answered.isEmpty }
        // One that was stopped before its time says nothing.
        if isAnswered || !outcomes.isEmpty && outcomes.allSatisfy(\.isSilent) {
            upkeep.note { $0.lookedUp(isAnswered: isAnswered, now: $1) }
        }
        return outcomes
    }

    /// - Returns: false where too many wait, it took too long, or the task was cancelled.
    private func takeTurn(within patience: Duration) async -> Bool {
        guard lookups >= Self.lookupLimit else {
            lookups += 1
            return true
        }
        guard waiting.count < Self.waitingLimit else { return false }
        let turn = Waiter<Void>()
        waiting.append(turn)
        let token = clock.schedule(after: patience) { turn.resume(throwing: CancellationError()) }
        defer { clock.cancel(token) }
        // It throws where nobody waits any more.
        let isTurn = (try? await turn.value()) != nil
        waiting.removeAll { $0 === turn }
        return isTurn
    }

    /// Hands the turn on to the next who still waits.
    private func endTurn() {
        while !waiting.isEmpty {
            let next = waiting.removeFirst()
            if !next.isResolved { return next.resume(returning: ()) }
        }
        lookups -= 1
    }

    private func makeSearch(
        _ key: [UInt8], _ errand: MainlineSearch.Errand, _ family: IPAddress.Family
    ) -> MainlineSearch? {
        guard !isStopped, open(family) else { return nil }
        lastSearch += 1
        let search = MainlineSearch(number: lastSearch, of: key, errand, family, node: self)
        searches[lastSearch] = search
        return search
    }

    /// That lookup is over.
    func ended(_ search: MainlineSearch, _ outcome: MainlineLookup.Outcome) {
        guard searches.removeValue(forKey: search.number) != nil else { return }
        transactions.forget(search.number)
        contacts.learn(outcome, now: clock.now)
        memory?.keep(outcome.holders.prefix(MainlineLookup.width))
        // Who is told of this node finds nothing here afterwards, and the next lookup comes from elsewhere.
        if searches.isEmpty { closeChannels() }
    }

    /// What the last run has kept.
    private func remember() async {
        guard !isRemembered, let memory else { return }
        let kept = await memory.contacts()
        guard !isRemembered else { return }
        isRemembered = true
        for contact in kept.reversed() { contacts.keep(contact) }
    }

    /// By whom others are found; their names are looked up once for all lookups.
    func entrances() async -> [SocketAddress] {
        if let known, known.until > clock.now { return known.addresses }
        let look = surroundings.entrances
        // It throws where this task is cancelled: nobody waits for them any more.
        let addresses = try? await resolving.task(for: 0) { await look() }.value()
        guard let addresses, !addresses.isEmpty else { return [] }
        known = (addresses, clock.now.advanced(by: Self.nameLifetime))
        return addresses
    }

    // MARK: Messages

    private func open(_ family: IPAddress.Family) -> Bool {
        if channels[family] != nil { return true }
        let channel = traced("a socket for the BitTorrent DHT", at: .notable) { try surroundings.open(family) }
        channel?.onDatagram = { [weak self] in self?.received($0) }
        channel?.onUnreachable = { [weak self] address in
            for search in self?.searches.valuesInOrder ?? [] { search.unreachable(address) }
        }
        channels[family] = channel
        return channel != nil
    }

    /// Asks; what is beyond the budget, or can't be asked, is as if it were lost.
    func ask(_ address: SocketAddress, _ query: KRPCQuery, for search: MainlineSearch) {
        let now = clock.now
        guard let channel = channels[address.ip.family], budget.takeNow(now: now),
            let transaction = transactions.begin(
                to: address, for: search.number, now: now, random: surroundings.random)
        else { return }
        channel.send(query.encoded(transaction: transaction, from: id, naming: address.ip.family), to: address)
    }

    private func received(_ datagram: Datagram) {
        // Questions are not answered: nobody has this node in his table.
        guard transactions.isAsked(datagram.remote), let reply = KRPCReply(decoding: datagram.bytes),
            let number = transactions.end(reply.transaction, from: datagram.remote, now: clock.now)
        else { return }
        searches[number]?.received(reply.body, from: datagram.remote)
    }

    /// Those named by whoever is at `namer` that may be asked.
    func usable(_ contacts: [MainlineContact], from namer: SocketAddress) -> [MainlineContact] {
        let rule = surroundings.rule()
        let voucher = rule.voucher(at: namer.ip, isMember: false)
        let now = clock.now
        return contacts.filter { contact in
            contact.address.ip.family == namer.ip.family && contact.address.port >= Self.leastPort
                && rule.admits(contact.address, from: voucher)
                && !self.contacts.isSilent(contact.address, now: now)
        }
    }
}

extension MainlineNode: RecordStoring {
    package func findItem(
        _ key: [UInt8], within patience: Duration, onItem: @escaping @NetworkActor (MutableItem) -> Void
    ) async -> (asked: Int, answered: Int) {
        let outcomes = await look(key, .find(onItem), within: patience)
        return outcomes.reduce((0, 0)) { ($0.0 + $1.asked, $0.1 + $1.answered.count) }
    }

    /// Stores it now, and again each hour until it is withdrawn; sooner where nobody took it.
    package func store(_ item: MutableItem) async -> Int {
        // What is stored there is a bencoded value.
        guard Bencode(decoding: item.value) != nil else { return 0 }
        upkeep.note { $0.keep(item, now: $1) }
        return await put(item)
    }

    package func withdraw(_ key: [UInt8]) { upkeep.note { machine, _ in machine.withdraw(key) } }
}
