package import DeP2PIdentity
package import DeP2PReactor

/// A peer as somebody on a link tells of it.
package struct HeardPeer: Hashable, Sendable {
    /// The label of its name, in lower case.
    package let peerName: [UInt8]
    package let text: PeerText
    package let link: Link.ID
    /// Who told: where the datagram came from.
    package let host: IPAddress

    package init(peerName: [UInt8], text: PeerText, link: Link.ID, host: IPAddress) {
        (self.peerName, self.text, self.link, self.host) = (peerName, text, link, host)
    }
}

/// What was heard of peers, for as long as they said that it counts: pure, and bounded whatever is told.
///
/// What two hosts tell under one name are two entries: nobody's words displace, or end, another's.
package struct HeardPeers: Sendable {
    package static let limit = 512
    /// Of one host's: many processes may run there. Beyond it the oldest of its own gives way.
    package static let perHost = 64
    /// Seconds for which anything counts; 75 minutes is the most that is recommended (RFC 6762 section 10).
    package static let longestLifetime: UInt32 = 4_500
    /// How long a peer that says goodbye stays: others may know better (RFC 6762 section 10.1).
    static let goodbye = Duration.seconds(1)

    private struct Key: Hashable {
        let peerName: [UInt8]
        let link: Link.ID
        let host: IPAddress
    }

    private struct Entry {
        let peer: HeardPeer
        let heard: UInt64
        var until: NetworkInstant
    }

    private var entries: [Key: Entry] = [:]
    /// How many entries each host has.
    private var counts: [IPAddress: Int] = [:]
    private var count: UInt64 = 0

    package init() {}

    /// Those that count now, the first heard first.
    package func all(now: NetworkInstant) -> [HeardPeer] {
        entries.values.filter { $0.until > now }.sorted { $0.heard < $1.heard }.map(\.peer)
    }

    package mutating func hear(_ peer: HeardPeer, lifetime: UInt32, now: NetworkInstant) {
        let key = Key(peerName: peer.peerName, link: peer.link, host: peer.host)
        guard lifetime > 0 else {
            let end = now.advanced(by: Self.goodbye)
            if let until = entries[key]?.until { entries[key]?.until = min(until, end) }
            return
        }
        if entries[key] == nil {
            makeRoom(for: peer.host, now: now)
            counts[peer.host, default: 0] += 1
        }
        count += 1
        let until = now.advanced(by: .seconds(Int64(min(lifetime, Self.longestLifetime))))
        entries[key] = Entry(peer: peer, heard: count, until: until)
    }

    /// Nothing is known any more of what was heard on links that are gone.
    mutating func keep(_ links: Set<Link.ID>) {
        for key in entries.keys where !links.contains(key.link) { remove(key) }
    }

    /// What counts no more goes first; then who told most loses what it told first. Looked for without a copy of anything:
    /// who floods a link has this done for each of its messages.
    private mutating func makeRoom(for host: IPAddress, now: NetworkInstant) {
        if counts[host, default: 0] >= Self.perHost { return removeOldest { key, _ in key.host == host } }
        guard entries.count >= Self.limit else { return }
        let most = counts.values.max()
        if let ended = entries.first(where: { $0.value.until <= now }) { return remove(ended.key) }
        removeOldest { [counts] key, _ in counts[key.host] == most }
    }

    private mutating func removeOldest(where isCandidate: (Key, Entry) -> Bool) {
        var oldest: (key: Key, heard: UInt64)?
        for (key, entry) in entries where entry.heard < oldest?.heard ?? .max && isCandidate(key, entry) {
            oldest = (key, entry.heard)
        }
        if let oldest { remove(oldest.key) }
    }

    private mutating func remove(_ key: Key) {
        guard entries.removeValue(forKey: key) != nil else { return }
        counts[key.host, default: 1] -= 1
        if counts[key.host] == 0 { counts[key.host] = nil }
    }
}
