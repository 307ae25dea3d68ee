internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions

/// Gets relayed connections onto straight paths, where these are used, and from relay to relay.
@NetworkActor
final class HolePunchPart: NodePart {
    private let punch: HolePunch

    init(_ punch: HolePunch, own: OwnAddresses) {
        self.punch = punch
        punch.mappedAddresses.append { [weak own] in own?.mappings?.addresses ?? [] }
        punch.verifiedAddresses = { [weak own] in own?.reachability.verified ?? [] }
    }

    func start() { punch.start() }

    func networkChanged() { punch.networkChanged() }

    /// A round of hole punching is nothing to wait for.
    func streamsKeptOpen(on session: Session) -> Int { punch.streamCount(on: session) }

    func willStop(within grace: Duration) { punch.stop() }
}
