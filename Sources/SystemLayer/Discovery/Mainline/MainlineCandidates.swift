internal import DeP2PIdentity
internal import DeP2PReactor

/// Whom a lookup has heard of, on whose word, and what came of it: pure.
///
/// Whoever is asked can name anybody, and choose the ids of those that he names: so each who names others has a few places
/// in each network, nodes whose ids follow from their addresses are looked at by themselves too (BEP 42), and who names
/// several that are silent and none that answers is believed no more.
struct MainlineCandidates: Sendable {
    /// Those heard of; beyond, the farthest that was not asked gives way, first of those whose ids follow from no address.
    static let limit = 512
    /// Candidates at one IP address, each named by another node: no more questions than that go there, whoever named it.
    static let perAddress = 3
    /// In a /24, or /48, and of these by one node's word.
    static let perSubnet = 6
    static let perSubnetAndNamer = 2
    /// Nodes of one namer that were silent, after which the others that he alone has named are not asked.
    static let silentLimit = 4

    enum State: Equatable, Sendable {
        case heard
        case asked(NetworkInstant)
        /// Asked, and not waited for any more before others are.
        case slow(NetworkInstant)
        /// It stores items where there is a token.
        case answered(token: [UInt8]?)
        case failed
    }

    struct Candidate: Equatable, Sendable {
        var contact: MainlineContact
        var distance: MainlineID
        var isVerified: Bool
        /// `nil` for one of this machine's networks.
        let subnet: Subject?
        /// Who named it; `nil` stands for this node itself.
        var namers: [SocketAddress?]
        var state = State.heard
        /// It does not know `get`: it is asked by `find_node`, and holds nothing.
        var isPlain = false

        var address: SocketAddress { contact.address }
        var isUnderWay: Bool {
            switch state {
            case .asked, .slow: true
            case .heard, .answered, .failed: false
            }
        }
        var token: [UInt8]? { if case .answered(let token) = state { token } else { nil } }
    }

    /// What became of those that one node has named.
    private struct Word: Sendable {
        var silent = 0
        var answering = 0
    }

    let target: MainlineID
    private(set) var all: [Candidate] = []
    private var places: [SocketAddress: Int] = [:]
    private var words: [SocketAddress: Word] = [:]

    init(target: MainlineID) { self.target = target }

    subscript(address: SocketAddress) -> Candidate? { places[address].map { all[$0] } }

    // MARK: Events

    /// - Parameter namer: who named it; `nil` for one that this node knows.
    mutating func hear(of contact: MainlineContact, from namer: SocketAddress?) {
        if let place = places[contact.address] { return hearAgain(of: contact, from: namer, at: place) }
        let ip = contact.address.ip
        let subnet = ip.isGlobal ? Subject(ip).subnet : nil
        guard namer == nil || hasRoom(for: ip, in: subnet, by: namer) else { return }
        let candidate = Candidate(
            contact: contact, distance: contact.id.distance(to: target), isVerified: contact.isVerified,
            subnet: subnet, namers: [namer])
        if all.count < Self.limit {
            places[contact.address] = all.count
            all.append(candidate)
        } else if let place = placeGivingWay(to: candidate) {
            places[all[place].address] = nil
            places[contact.address] = place
            all[place] = candidate
        }
    }

    private func placeGivingWay(to candidate: Candidate) -> Int? {
        let rank = { (candidate: Candidate) in (candidate.isVerified ? 0 : 1, candidate.distance) }
        let last = all.indices.filter { all[$0].state == .heard }.max { rank(all[$0]) < rank(all[$1]) }
        return last.flatMap { rank(candidate) < rank(all[$0]) ? $0 : nil }
    }

    /// Who is named with several ids has the one with which it is asked first: a wrong one that lies farther hides nobody.
    private mutating func hearAgain(of contact: MainlineContact, from namer: SocketAddress?, at place: Int) {
        let known = all[place].namers
        if known.count < Self.perAddress, !known.contains(namer) { all[place].namers.append(namer) }
        guard all[place].state == .heard else { return }
        let (distance, isVerified) = (contact.id.distance(to: target), contact.isVerified)
        if isVerified == all[place].isVerified ? distance < all[place].distance : isVerified {
            all[place].contact = contact
            (all[place].distance, all[place].isVerified) = (distance, isVerified)
        }
    }

    /// Nodes of one's own machine or network may be many at one address.
    private func hasRoom(for ip: IPAddress, in subnet: Subject?, by namer: SocketAddress?) -> Bool {
        guard let subnet else { return true }
        let near = all.filter { $0.subnet == subnet }
        let here = near.filter { $0.address.ip == ip }
        return near.count < Self.perSubnet && here.count < Self.perAddress
            && near.count { $0.namers.first == namer } < Self.perSubnetAndNamer
            && !here.contains { $0.namers.first == namer }
    }

    mutating func asked(_ address: SocketAddress, now: NetworkInstant) { set(address, .asked(now)) }

    mutating func slow(_ address: SocketAddress, since: NetworkInstant) { set(address, .slow(since)) }

    /// - Parameter id: the one that it has by its own word, where it lies from now on.
    mutating func answered(_ address: SocketAddress, by id: MainlineID, token: [UInt8]?) {
        guard let place = places[address], all[place].isUnderWay else { return }
        all[place].contact = MainlineContact(id, at: address)
        all[place].distance = id.distance(to: target)
        all[place].isVerified = all[place].contact.isVerified
        all[place].state = .answered(token: token)
        for case let namer? in all[place].namers { words[namer, default: Word()].answering += 1 }
    }

    /// It answers, and does not know the question: it is asked another one.
    mutating func refused(_ address: SocketAddress) {
        guard let place = places[address], all[place].isUnderWay else { return }
        all[place].state = all[place].isPlain ? .failed : .heard
        all[place].isPlain = true
    }

    mutating func failed(_ address: SocketAddress) {
        guard let place = places[address], all[place].isUnderWay else { return }
        all[place].state = .failed
        for case let namer? in all[place].namers { words[namer, default: Word()].silent += 1 }
    }

    private mutating func set(_ address: SocketAddress, _ state: State) {
        if let place = places[address] { all[place].state = state }
    }

    // MARK: Who is next

    /// The nearest that may hold the item, and the nearest of those whose ids follow from their addresses: each as many as an
    /// item is stored with. One that has said that it holds nothing is none of these once it has answered.
    func nearest(_ count: Int) -> [Candidate] {
        let usable = all.filter { isUsable($0) }.sorted { $0.distance < $1.distance }
        let first = usable.prefix(count)
        return first + usable.filter(\.isVerified).prefix(count).filter { !first.contains($0) }
    }

    private func isUsable(_ candidate: Candidate) -> Bool {
        switch candidate.state {
        case .failed: false
        case .answered(let token): token != nil
        case .asked, .slow: true
        case .heard: candidate.namers.contains { isBelieved($0) }
        }
    }

    private func isBelieved(_ namer: SocketAddress?) -> Bool {
        guard let namer, let word = words[namer] else { return true }
        return word.silent < Self.silentLimit || word.answering > 0
    }
}
