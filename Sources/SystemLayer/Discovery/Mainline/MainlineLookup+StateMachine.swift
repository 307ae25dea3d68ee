internal import DeP2PIdentity
internal import DeP2PReactor

/// One lookup in the BitTorrent DHT, for the nodes of one family: asks ever nearer nodes for an item until the nearest have
/// answered, and then puts one with them if that is what it is for. Pure.
///
/// Calling order: ``start(now:)``; ``found(entrances:now:)`` after ``Action/seekEntrances``; for each ``Action/ask(_:_:)`` one of ``answered(_:by:contacts:token:now:)``,
/// ``refused(_:now:)`` and ``failed(_:now:)``, or nothing; for each ``Action/put(_:token:)`` one of ``stored(_:now:)``,
/// ``refused(_:now:)`` and ``failed(_:now:)``, or nothing; ``stop()`` when nobody waits any more.
/// ``Action/finished(_:)`` is the last.
struct MainlineLookup: TimedMachine, Sendable {
    /// Nodes that an item is stored with (BEP 44), and as many of those whose ids follow from their addresses.
    static let width = 8
    /// Questions under way at once, slow ones not counted.
    static let concurrency = 6
    /// After so long a node does not hold up others.
    static let patience = Duration.milliseconds(700)
    static let requestTimeout = Duration.seconds(3)
    /// Questions in all, besides those to entrances.
    static let requestLimit = 96
    /// With fewer nodes to begin with entrances are wanted at once; otherwise when nobody else answers.
    static let sparse = 4
    /// Entrances asked.
    static let entranceLimit = 8

    enum Purpose: Equatable, Sendable {
        case find
        case store
    }

    enum Question: Equatable, Sendable {
        case findNode
        case get
    }

    struct Outcome: Equatable, Sendable {
        var asked = 0
        /// Those who have answered, the nearest first.
        var answered: [MainlineContact] = []
        /// Those of them that store items.
        var holders: [MainlineContact] = []
        /// Those who have not.
        var silent: [SocketAddress] = []
        /// With how many the item was stored.
        var stored = 0
        /// Whether nobody answered who could be asked, and nobody is waited for.
        var isSilent = false
    }

    enum Action: Equatable, Sendable {
        /// The addresses of nodes by whom others are found, whose names have to be looked up.
        case seekEntrances
        case ask(SocketAddress, Question)
        case put(SocketAddress, token: [UInt8])
        case finished(Outcome)
    }

    fileprivate struct Entrance: Sendable {
        let address: SocketAddress
        var state: MainlineCandidates.State
    }

    /// Nodes whose ids nobody knows before they answer.
    private enum Entering: Sendable {
        case notYet
        case seeking
        case found([Entrance])
    }

    private enum Put: Equatable, Sendable {
        case asked(NetworkInstant)
        case stored
        case failed
    }

    private enum Phase: Sendable {
        case looking
        case putting([SocketAddress: Put])
        case finished
    }

    private let purpose: Purpose
    private var candidates: MainlineCandidates
    private var entering = Entering.notYet
    private var asked = 0
    private var phase = Phase.looking

    /// Whether answers are to what was put.
    var isPutting: Bool { if case .putting = phase { true } else { false } }

    init(target: MainlineID, purpose: Purpose, seeds: [MainlineContact]) {
        self.purpose = purpose
        candidates = MainlineCandidates(target: target)
        for seed in seeds { candidates.hear(of: seed, from: nil) }
    }

    // MARK: Events

    mutating func start(now: NetworkInstant) -> [Action] {
        let isSparse = candidates.all.count < Self.sparse
        return (isSparse ? seek() : []) + proceed(now: now)
    }

    /// - Parameter entrances: none where no name is known.
    mutating func found(entrances: [SocketAddress], now: NetworkInstant) -> [Action] {
        guard case .seeking = entering, case .looking = phase else { return [] }
        let all = entrances.prefix(Self.entranceLimit).map { Entrance(address: $0, state: .asked(now)) }
        entering = .found(all)
        return all.map { .ask($0.address, .findNode) } + proceed(now: now)
    }

    /// - Parameters:
    ///   - id: the node's own, by its word.
    ///   - contacts: whom it names, those alone that may be asked.
    mutating func answered(
        _ address: SocketAddress, by id: MainlineID, contacts: [MainlineContact], token: [UInt8]?, now: NetworkInstant
    ) -> [Action] {
        guard case .looking = phase else { return [] }
        if settleEntrance(address, .answered(token: nil)) {
            candidates.hear(of: MainlineContact(id, at: address), from: nil)
        } else {
            guard candidates[address]?.isUnderWay == true else { return [] }
            candidates.answered(address, by: id, token: token)
        }
        for contact in contacts { candidates.hear(of: contact, from: address) }
        return proceed(now: now)
    }

    /// It has answered with an error.
    mutating func refused(_ address: SocketAddress, now: NetworkInstant) -> [Action] {
        if case .looking = phase, candidates[address]?.isUnderWay == true {
            candidates.refused(address)
            return proceed(now: now)
        }
        return failed(address, now: now)
    }

    /// It is not to be reached.
    mutating func failed(_ address: SocketAddress, now: NetworkInstant) -> [Action] {
        switch phase {
        case .looking:
            candidates.failed(address)
            settleEntrance(address, .failed)
        case .putting: settle(address, .failed)
        case .finished: return []
        }
        return proceed(now: now)
    }

    mutating func stored(_ address: SocketAddress, now: NetworkInstant) -> [Action] {
        settle(address, .stored)
        return proceed(now: now)
    }

    /// - Returns: whether it is one that was asked as such.
    @discardableResult
    private mutating func settleEntrance(_ address: SocketAddress, _ state: MainlineCandidates.State) -> Bool {
        var all = entrances
        guard let place = all.firstIndex(where: { $0.address == address && $0.isUnderWay }) else { return false }
        all[place].state = state
        entering = .found(all)
        return true
    }

    private var entrances: [Entrance] { if case .found(let all) = entering { all } else { [] } }

    private mutating func settle(_ address: SocketAddress, _ put: Put) {
        guard case .putting(var puts) = phase, case .asked? = puts[address] else { return }
        puts[address] = put
        phase = .putting(puts)
    }

    /// Whatever is under way, it ends now.
    mutating func stop() -> [Action] { finish() }

    // MARK: Time

    var wake: NetworkInstant? {
        switch phase {
        case .looking: (candidates.all.map(\.state) + entrances.map(\.state)).compactMap(Self.due).min()
        case .putting(let puts):
            puts.values.compactMap { put in
                if case .asked(let since) = put { since.advanced(by: Self.requestTimeout) } else { nil }
            }.min()
        case .finished: nil
        }
    }

    private static func due(_ state: MainlineCandidates.State) -> NetworkInstant? {
        switch state {
        case .asked(let since): since.advanced(by: patience)
        case .slow(let since): since.advanced(by: requestTimeout)
        case .heard, .answered, .failed: nil
        }
    }

    mutating func timerFired(now: NetworkInstant) -> [Action] {
        switch phase {
        case .looking:
            for candidate in candidates.all {
                switch candidate.state {
                case .asked(let since) where since.advanced(by: Self.patience) <= now:
                    candidates.slow(candidate.address, since: since)
                case .slow(let since) where since.advanced(by: Self.requestTimeout) <= now:
                    candidates.failed(candidate.address)
                default: continue
                }
            }
            if case .found(let all) = entering { entering = .found(all.map { $0.passed(now: now) }) }
        case .putting(let puts):
            for (address, put) in puts {
                if case .asked(let since) = put, since.advanced(by: Self.requestTimeout) <= now {
                    settle(address, .failed)
                }
            }
        case .finished: return []
        }
        return proceed(now: now)
    }

    // MARK: Decisions

    private mutating func proceed(now: NetworkInstant) -> [Action] {
        switch phase {
        case .looking: return look(now: now)
        case .putting(let puts):
            let isUnderWay = puts.values.contains { if case .asked = $0 { true } else { false } }
            return isUnderWay ? [] : finish()
        case .finished: return []
        }
    }

    private mutating func look(now: NetworkInstant) -> [Action] {
        var actions: [Action] = []
        let nearest = candidates.nearest(Self.width)
        var underWay = candidates.all.count { if case .asked = $0.state { true } else { false } }
        for candidate in nearest where candidate.state == .heard {
            guard underWay < Self.concurrency, asked < Self.requestLimit else { break }
            asked += 1
            underWay += 1
            candidates.asked(candidate.address, now: now)
            actions.append(.ask(candidate.address, candidate.isPlain ? .findNode : .get))
        }
        guard actions.isEmpty else { return actions }
        let waits = nearest.contains { $0.isUnderWay || $0.state == .heard && asked < Self.requestLimit }
        if waits { return [] }
        if nearest.isEmpty, case .notYet = entering { return seek() }
        return isEntering(nearest.count) ? [] : arrive(nearest, now: now)
    }

    private mutating func seek() -> [Action] {
        entering = .seeking
        return [.seekEntrances]
    }

    /// Whether entrances are waited for. One that is silent holds up nobody who has found others.
    private func isEntering(_ found: Int) -> Bool {
        switch entering {
        case .notYet: false
        case .seeking: found < Self.width
        case .found(let all):
            all.contains { entrance in
                if case .asked = entrance.state { true } else { found == 0 && entrance.isUnderWay }
            }
        }
    }

    private mutating func arrive(_ nearest: [MainlineCandidates.Candidate], now: NetworkInstant) -> [Action] {
        let holders = nearest.compactMap { candidate in candidate.token.map { (candidate.address, $0) } }
        guard purpose == .store, !holders.isEmpty else { return finish() }
        phase = .putting(Dictionary(holders.map { ($0.0, .asked(now)) }, uniquingKeysWith: { first, _ in first }))
        return holders.map { .put($0.0, token: $0.1) }
    }

    private var isWaiting: Bool {
        if case .seeking = entering { return true }
        return candidates.all.contains(where: \.isUnderWay)
            || entrances.contains { $0.isUnderWay || $0.state == .answered(token: nil) }
    }

    private mutating func finish() -> [Action] {
        if case .finished = phase { return [] }
        var outcome = Outcome()
        outcome.asked = asked + entrances.count
        let sorted = candidates.all.sorted { $0.distance < $1.distance }
        for candidate in sorted {
            switch candidate.state {
            case .answered(let token):
                outcome.answered.append(candidate.contact)
                if token != nil { outcome.holders.append(candidate.contact) }
            case .failed: outcome.silent.append(candidate.address)
            case .heard, .asked, .slow: continue
            }
        }
        outcome.isSilent = outcome.answered.isEmpty && !isWaiting
        if case .putting(let puts) = phase { outcome.stored = puts.values.count { $0 == .stored } }
        phase = .finished
        return [.finished(outcome)]
    }
}

extension MainlineLookup.Entrance {
    fileprivate var isUnderWay: Bool {
        switch state {
        case .asked, .slow: true
        case .heard, .answered, .failed: false
        }
    }

    fileprivate func passed(now: NetworkInstant) -> Self {
        var entrance = self
        switch state {
        case .asked(let since) where since.advanced(by: MainlineLookup.patience) <= now: entrance.state = .slow(since)
        case .slow(let since) where since.advanced(by: MainlineLookup.requestTimeout) <= now: entrance.state = .failed
        default: break
        }
        return entrance
    }
}
