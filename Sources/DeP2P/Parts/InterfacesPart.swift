internal import DeP2PReactor

/// What is remembered of this machine's interfaces. Others come after it, which look at them when they hear of a change.
@NetworkActor
final class InterfacesPart: NodePart {
    private let cache: InterfaceCache

    init(_ cache: InterfaceCache) {
        self.cache = cache
    }

    func networkChanged() { cache.forget() }
}
