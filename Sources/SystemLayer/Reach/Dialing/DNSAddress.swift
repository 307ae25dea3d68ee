internal import DeP2PIdentity

/// `/dnsaddr/NAME/…`: a name whose text records hold addresses (multiaddr's `DNSADDR.md`), of which those are meant that end
/// as it does. Pure.
struct DNSAddress: Hashable {
    /// Names behind names: a bootstrap domain has two.
    static let depthLimit = 4
    /// Names that are looked up in one dial.
    static let nameLimit = 16

    /// Without the prefix under which it is looked up.
    let name: String
    let suffix: [Address.Component]

    /// `nil` for any other address.
    init?(_ address: Address) {
        guard case .dns(let name, .dnsaddr)? = address.components.first else { return nil }
        self.name = name
        suffix = Array(address.components.dropFirst())
    }

    /// The name that has the records.
    var recordName: String { "_dnsaddr.\(name)" }

    /// The addresses in these records that are meant, further names among them.
    func addresses(in texts: [[UInt8]], of nodeID: NodeID?) -> [Address] {
        let key = Array("dnsaddr=".utf8)
        return texts.filter { $0.starts(with: key) }.compactMap { text in
            // What is no address is passed over: other things may stand there.
            String(validating: text.dropFirst(key.count), as: UTF8.self).flatMap { try? Address($0) }
        }.filter { address in
            address.components.count >= suffix.count && address.components.suffix(suffix.count).elementsEqual(suffix)
                && (address.nodeID == nil || nodeID == nil || address.nodeID == nodeID)
        }
    }
}

/// Which names a dial still looks up: each once, so many in all, and so far behind another. Pure.
struct DNSAddressBudget {
    private var seen: Set<DNSAddress> = []

    /// - Parameter depth: 1 for a name that was given.
    /// - Returns: why not; `nil` when it is looked up.
    mutating func refusal(of address: DNSAddress, depth: Int) -> String? {
        if seen.contains(address) { return "it was looked up already" }
        if depth > DNSAddress.depthLimit { return "it stands behind more than \(DNSAddress.depthLimit) names" }
        if seen.count >= DNSAddress.nameLimit { return "more than \(DNSAddress.nameLimit) names in one dial" }
        seen.insert(address)
        return nil
    }
}
