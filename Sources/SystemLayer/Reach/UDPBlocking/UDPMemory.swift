internal import DeP2PIdentity
package import DeP2PReactor
package import DeP2PStorage

/// Remembers on which networks UDP is blocked, as long as its store does.
@NetworkActor
package final class UDPMemory {
    /// How long this machine is taken to be in the network it was in.
    private static let fingerprintTime: UInt64 = 5_000
    nonisolated static let table = Table<[UInt8], BlockedNetwork>(
        "udp-blocked", rows: BlockedNetwork.limit, keyBytes: NetworkFingerprint.length, valueBytes: 16)

    /// Where it is kept: for this run only, until a node says where.
    package var storage: any Storage
    private var fingerprint: (text: String, at: UInt64)?
    private var noting: Task<Void, Never>?
    private let reading = PatientRead<(network: String, known: BlockedNetwork?)>()
    private let wallClock: @Sendable () -> UInt64
    private let currentNetwork: @Sendable () -> String

    /// Of this machine.
    package nonisolated convenience init() {
        self.init(wallClock: WallClock.milliseconds, network: NetworkFingerprint.current)
    }

    /// - Parameters:
    ///   - wallClock: milliseconds since 1970.
    ///   - network: names the network that the machine is in; it may block.
    package nonisolated init(wallClock: @escaping @Sendable () -> UInt64, network: @escaping @Sendable () -> String) {
        self.wallClock = wallClock
        currentNetwork = network
        storage = MemoryStorage(clock: wallClock)
    }

    /// What to expect of UDP on the present network.
    func expectation() async -> UDPExpectation {
        guard let known = await known() else { return .works }
        let now = wallClock()
        return .blocked(isProbed: known.probe(at: now) <= now)
    }

    /// How long until UDP is to be looked at again; `nil` when it is not known to be blocked.
    func timeToProbe() async -> Duration? {
        await known().map { known in
            let now = wallClock()
            let due = known.probe(at: now)
            return .milliseconds(Int64(clamping: due - min(due, now)))
        }
    }

    /// Takes note of what a race between UDP and TCP to one node has shown.
    func note(works: Bool) {
        let previous = noting
        noting = networkTask { [self] in
            await previous?.value
            // Looked up anew: by now the gateway's hardware address is known, which it may not have been before.
            fingerprint = nil
            await exchange { known, now in works ? nil : BlockedNetwork.noteBlocked(known, now: now) }
        }
    }

    /// Waits until what was noted is in the store.
    package func flush() async { await noting?.value }

    /// Every dial asks: a disk that stands still is as good as one that knows nothing.
    private func known() async -> BlockedNetwork? {
        let (storage, table, network) = (storage, Self.table, await network())
        let read = await reading.value { (network, storage.entry(Array(network.utf8), in: table)?.value) }
        return read?.network == network ? read?.known : nil
    }

    private func exchange(_ change: @escaping @Sendable (BlockedNetwork?, UInt64) -> BlockedNetwork?) async {
        let (storage, table, network, now) = (storage, Self.table, await network(), wallClock())
        // It throws what the work does: nothing.
        _ = try? await offload {
            storage.update(Array(network.utf8), in: table) { old in
                guard let new = change(old?.value, now) else { return nil }
                if let old, old.value == new { return old }
                return Entry(new, stamp: now, expires: now &+ BlockedNetwork.lifetime)
            }
        }
    }

    private func network() async -> String {
        let now = wallClock()
        if let fingerprint, now >= fingerprint.at, now - fingerprint.at < Self.fingerprintTime {
            return fingerprint.text
        }
        let currentNetwork = currentNetwork
        // It throws what the work does: nothing.
        guard let text = try? await offload({ currentNetwork() }) else { return "" }
        fingerprint = (text, now)
        return text
    }
}
