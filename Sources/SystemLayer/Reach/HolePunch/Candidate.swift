internal import DeP2PIdentity
internal import DeP2PReactor

/// An address, or a run of ports of one, at which a node may be reached straight.
struct Candidate: Hashable, Sendable {
    enum Kind: UInt8, Sendable {
        /// An address of an interface.
        case interface = 1
        /// A port that a gateway forwards on request.
        case mapped = 2
        /// As others saw the node.
        case observed = 3
        /// Ports that the node's NAT is expected to give out next.
        case predicted = 4
    }

    /// Candidates told to a peer, and looked at of one.
    static let limit = 16
    /// Ports of one predicted run.
    static let runLimit = 16
    /// Addresses that all candidates of a peer stand for together.
    static let addressLimit = 40

    let kind: Kind
    /// The first address of a predicted run; the only one of any other kind.
    let address: SocketAddress
    /// From one port of a run to the next.
    let step: Int
    let count: Int

    init(_ kind: Kind, _ address: SocketAddress, step: Int = 0, count: Int = 1) {
        self.kind = kind
        self.address = address
        self.step = kind == .predicted ? step : 0
        self.count = kind == .predicted ? min(max(count, 1), Self.runLimit) : 1
    }

    /// The addresses meant, as far as their ports exist.
    var addresses: [SocketAddress] {
        (0..<count).compactMap { index in
            let (offset, overflow) = index.multipliedReportingOverflow(by: step)
            let (sum, tooFar) = offset.addingReportingOverflow(Int(address.port))
            guard !overflow, !tooFar, let port = UInt16(exactly: sum), port > 0 else { return nil }
            return SocketAddress(address.ip, port: port)
        }
    }

    /// Whether a path to this address needs no NAT to be opened.
    var isOpen: Bool { kind == .interface || kind == .mapped }
}
