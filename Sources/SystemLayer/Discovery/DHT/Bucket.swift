internal import DeP2PIdentity
internal import DeP2PReactor

/// The contacts whose keys have one length of prefix in common with this node's, and those that wait for a place: pure.
struct Bucket: Sendable {
    /// k.
    static let capacity = DHT.replication
    /// Contacts that wait for a place; the one heard of last gets it.
    static let replacementLimit = 10
    /// Contacts of one subnet, and as many again that wait: what one customer commands must not fill a bucket.
    static let perSubnet = 2
    /// The bits after those that all of a bucket have in common: what begins with the same ones is one of its branches.
    static let branchBits = 4
    /// Contacts of one branch. Twenty keys of sixteen branches hardly ever lie so that one of these has more; those of
    /// identities that crowd round a key are all in one, and must not be all that this node can tell of the key.
    static let perBranch = 5

    struct Entry: Sendable {
        var contact: DHTContact
        /// The subnet of the address at which it has answered; `nil` for this machine's and this network's.
        var subnet: Subject?
        /// When it last did what it was asked to.
        var answeredAt: NetworkInstant
        /// Requests in a row that it left unanswered.
        var failures = 0
        var isBeingChecked = false
    }

    struct Replacement: Sendable {
        var contact: DHTContact
        var subnet: Subject?
        var isBeingChecked = false
    }

    /// How many bits its contacts have in common with this node's key.
    let depth: Int
    private(set) var entries: [Entry] = []
    private(set) var replacements: [Replacement] = []
    /// When somebody last looked from here for what lies here; `nil` never.
    var lookedUpAt: NetworkInstant?

    init(depth: Int) { self.depth = depth }

    var isFull: Bool { entries.count >= Self.capacity }

    /// Of those that are not being checked, the one that answered longest ago.
    var oldest: (place: Int, at: NetworkInstant)? {
        entries.indices.filter { !entries[$0].isBeingChecked }.map { ($0, entries[$0].answeredAt) }.min { $0.1 < $1.1 }
    }

    func index(of key: DHTKey) -> Int? { entries.firstIndex { $0.contact.key == key } }

    func hasRoom(for key: DHTKey, in subnet: Subject?) -> Bool { !isFull && admits(subnet) && admits(key) }

    /// Whether the key's branch has fewer than its share of the entries.
    func admits(_ key: DHTKey) -> Bool {
        let branch = depth + 1 + Self.branchBits
        return entries.count { $0.contact.key.commonPrefixLength(with: key) >= branch } < Self.perBranch
    }

    /// Whether the subnet has fewer than its share of the entries.
    func admits(_ subnet: Subject?) -> Bool {
        guard let subnet else { return true }
        return entries.count { $0.subnet == subnet } < Self.perSubnet
    }

    mutating func insert(_ entry: Entry) {
        entries.append(entry)
        replacements.removeAll { $0.contact.key == entry.contact.key }
    }

    mutating func update(_ index: Int, _ change: (inout Entry) -> Void) { change(&entries[index]) }

    mutating func remove(_ index: Int) -> Entry { entries.remove(at: index) }

    /// The last heard of comes last; the oldest that is not being checked gives way. Who could not enter does not wait.
    mutating func wait(_ contact: DHTContact, subnet: Subject?) {
        guard admits(contact.key) else { return }
        var replacement = Replacement(contact: contact, subnet: subnet)
        if let known = replacements.firstIndex(where: { $0.contact.key == contact.key }) {
            replacement.isBeingChecked = replacements.remove(at: known).isBeingChecked
        } else if let subnet, replacements.count(where: { $0.subnet == subnet }) >= Self.perSubnet {
            return
        }
        if replacements.count >= Self.replacementLimit,
            let oldest = replacements.firstIndex(where: { !$0.isBeingChecked })
        {
            replacements.remove(at: oldest)
        }
        replacements.append(replacement)
    }

    mutating func forgetReplacement(_ key: DHTKey) { replacements.removeAll { $0.contact.key == key } }

    /// The one heard of last that could enter now and is not being checked already, marked as such.
    mutating func nextReplacement(where admits: (Subject?) -> Bool) -> DHTContact? {
        guard !isFull,
            let index = replacements.lastIndex(where: {
                !$0.isBeingChecked && self.admits($0.subnet) && self.admits($0.contact.key) && admits($0.subnet)
            })
        else { return nil }
        replacements[index].isBeingChecked = true
        return replacements[index].contact
    }
}
