package import DeP2PReactor

/// A public store of mutable items (BEP 44): our DHT, BitTorrent's, or several at once.
@NetworkActor
package protocol RecordStoring: AnyObject, Sendable {
    /// Looks for an item until those nearest to its place have answered.
    ///
    /// - Parameters:
    ///   - key: public key and salt.
    ///   - onItem: called with each item of that key that somebody has; its signature is not looked at yet.
    /// - Returns: how many nodes were asked, and how many have answered.
    func findItem(
        _ key: [UInt8], within patience: Duration, onItem: @escaping @NetworkActor (MutableItem) -> Void
    ) async -> (asked: Int, answered: Int)

    /// Stores an item.
    ///
    /// - Returns: how many nodes have taken it.
    func store(_ item: MutableItem) async -> Int

    /// What was stored under that key is stored no more: who kept it up stops doing so.
    ///
    /// - Parameter key: public key and salt.
    func withdraw(_ key: [UInt8])
}

extension RecordStoring {
    package func withdraw(_ key: [UInt8]) {}
}

extension DHTNode: RecordStoring {}
