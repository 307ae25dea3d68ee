internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// Says who and where the node is, and hears where others are.
@NetworkActor
final class IdentifyPart: NodePart {
    private let identify: Identify
    private let relays: RelayClient
    private weak var node: Node?

    init(_ identify: Identify, of node: Node) {
        (self.identify, relays, self.node) = (identify, node.relays, node)
    }

    func start() {
        identify.serve()
        identify.learn()
        relays.onAddressChange = { [weak self] in self?.addressesChanged() }
    }

    /// Peers that were told of addresses are told of those that there are now.
    func networkChanged() { push() }

    func streamsKeptOpen(on session: Session) -> Int { identify.streamsKeptOpen(on: session) }

    /// Says it all to one peer.
    func tell(_ session: Session) { identify.push(to: session) }

    /// Peers hear of it, and who finds this node by a record.
    func addressesChanged() {
        push()
        node?.dhtPart?.addressesChanged()
        node?.realmRecordsPart?.addressesChanged()
    }

    private func push() {
        identify.push { [weak relays] session in relays?.isNamedRelay(session) != true }
    }
}
