internal import DeP2PReach
internal import DeP2PReactor
internal import DeP2PSessions
internal import DeP2PStorage

extension Node {
    static func storage(
        _ configuration: NodeConfiguration, _ notices: StorageNotices, _ environment: NodeEnvironment
    ) -> any Storage {
        if let storage = configuration.storage { return storage }
        guard let folder = configuration.stateDirectory else { return MemoryStorage(clock: environment.wallClock) }
        return environment.storage(folder) { [weak notices] condition in networkTask { notices?.changed(condition) } }
    }
}
