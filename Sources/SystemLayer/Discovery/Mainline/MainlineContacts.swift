internal import DeP2PIdentity
internal import DeP2PReactor

/// The nodes of the BitTorrent DHT by which the next lookup begins, and those that need not be asked again soon: pure.
///
/// A client has no table to serve others from: it remembers some that answered and store items, those heard last, spread over
/// networks.
struct MainlineContacts: Sendable {
    /// Those kept of each family: none displaces those of the other (BEP 32).
    static let limit = 64
    /// Of a /24 or /48.
    static let perSubnet = 2
    /// Nearest to what is looked for, and others, with which a lookup begins.
    static let nearSeeds = 8
    static let otherSeeds = 4
    /// Silent ones remembered, and for how long nobody's word sends another question there.
    static let silentLimit = 512
    static let silence = Duration.seconds(600)

    /// The one heard last comes last.
    private(set) var all: [MainlineContact] = []
    private var silent: [(address: SocketAddress, until: NetworkInstant)] = []

    func count(_ family: IPAddress.Family) -> Int { all.count { $0.address.ip.family == family } }

    func seeds(near target: MainlineID, _ family: IPAddress.Family) -> [MainlineContact] {
        let known = all.filter { $0.address.ip.family == family }
        let near = known.sorted { $0.id.distance(to: target) < $1.id.distance(to: target) }.prefix(Self.nearSeeds)
        return near + known.suffix(Self.otherSeeds).filter { !near.contains($0) }
    }

    func isSilent(_ address: SocketAddress, now: NetworkInstant) -> Bool {
        silent.contains { $0.address == address && $0.until > now }
    }

    /// What a lookup has found out. Where nobody answered, that says nothing of those who were asked.
    mutating func learn(_ outcome: MainlineLookup.Outcome, now: NetworkInstant) {
        guard !outcome.answered.isEmpty else { return }
        all.removeAll { outcome.silent.contains($0.address) }
        silent.removeAll { $0.until <= now }
        for address in outcome.silent where !isSilent(address, now: now) {
            silent.append((address, now.advanced(by: Self.silence)))
        }
        silent.removeFirst(max(silent.count - Self.silentLimit, 0))
        // The nearest to what was looked for are of no more use than others for what will be.
        for contact in outcome.holders.reversed() { keep(contact) }
    }

    mutating func keep(_ contact: MainlineContact) {
        all.removeAll { $0.address == contact.address }
        if contact.address.ip.isGlobal {
            let subnet = Subject(contact.address.ip).subnet
            let near = all.filter { Subject($0.address.ip).subnet == subnet }
            for other in near.dropLast(Self.perSubnet - 1) { all.removeAll { $0 == other } }
        }
        all.append(contact)
        let family = contact.address.ip.family
        if count(family) > Self.limit, let oldest = all.firstIndex(where: { $0.address.ip.family == family }) {
            all.remove(at: oldest)
        }
    }

    /// Of another network than before: who was silent may answer now.
    mutating func networkChanged() { silent = [] }
}
