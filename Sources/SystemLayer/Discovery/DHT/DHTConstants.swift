/// The numbers that all of the DHT's nodes have in common (Kademlia, section 2; libp2p kad-dht, "Replication parameter").
package enum DHT {
    /// k: contacts in a bucket and in an answer, and how many nodes hold a record.
    package static let replication = 20
    /// α: requests of one lookup under way at once.
    package static let concurrency = 10
}
