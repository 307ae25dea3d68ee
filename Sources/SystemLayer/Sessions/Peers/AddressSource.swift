package import DeP2PIdentity
package import DeP2PReactor

/// Something that can find out where a node is: what was remembered, relays, and later names, DNS, the DHT.
@NetworkActor
package protocol AddressSource: AnyObject, Sendable {
    /// What it is called where it is told who was asked, in small letters: `mdns`.
    nonisolated var name: String { get }

    /// What it finds, as it finds it. The stream ends when nothing more is to come; a source stops looking when nobody
    /// reads it any more (`onTermination`).
    ///
    /// A dial takes what comes as long as it runs, and gives up on its other addresses only when all streams have ended:
    /// a source needs a deadline of its own.
    func addresses(of nodeID: NodeID) -> AsyncStream<FoundAddresses>

    /// All that it finds, where it knows without looking. It is not asked for a stream then, which costs a dial a task.
    func answer(of nodeID: NodeID) -> FoundAddresses?
}

extension AddressSource {
    package func answer(of nodeID: NodeID) -> FoundAddresses? { nil }
}

/// Something that hears of members of the realm, whoever they are.
@NetworkActor
package protocol MemberSource: AnyObject, Sendable {
    /// The addresses of a member at a time, for as long as somebody reads them: with its NodeID at their end where it is known
    /// who it is.
    func members() -> AsyncStream<FoundAddresses>
}

/// Addresses of a node, and on whose word they are. Which of them are dialled is ``AddressRule``'s to say.
package struct FoundAddresses: Hashable, Sendable {
    /// Findings that wait to be read; later ones are lost.
    package static let waitingLimit = 16

    package let addresses: [KnownAddress]
    package let voucher: AddressRule.Voucher
    /// What there is to say of how it was looked for, in a few words; the last thing said counts.
    package let detail: String?

    package init(
        _ addresses: [KnownAddress], from voucher: AddressRule.Voucher = .stranger, detail: String? = nil
    ) {
        (self.addresses, self.voucher, self.detail) = (addresses, voucher, detail)
    }

    package static func makeStream() -> (AsyncStream<Self>, AsyncStream<Self>.Continuation) {
        AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(waitingLimit))
    }
}
