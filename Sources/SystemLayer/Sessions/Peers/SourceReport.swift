/// What one of those who were asked where a node is has answered.
public struct SourceReport: Hashable, Sendable {
    /// Who: `known` (what was given, or is in memory), `remembered` (by an earlier run), `relays` (this node's own), `mdns`
    /// (this machine's networks), `dht`, `realm` (the realm's records, there and in the BitTorrent DHT).
    public let source: String
    /// Addresses that it named and that may be dialled.
    public internal(set) var addresses: Int
    /// How long it looked; `nil` when it was still at it.
    public internal(set) var elapsed: Duration?
    /// What there is to say of how it looked, in a few words; often nothing.
    public internal(set) var detail: String

    package init(_ source: String, addresses: Int = 0, elapsed: Duration? = nil, detail: String = "") {
        (self.source, self.addresses, self.elapsed, self.detail) = (source, addresses, elapsed, detail)
    }
}
