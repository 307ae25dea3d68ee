internal import Glibc
public import QUIC

/// Remembers on which networks UDP is blocked, in memory and, where there is a file for it, between runs.
@NetworkActor
public final class UDPMemory {
    /// How long this machine is taken to be in the network it was in.
    private static let fingerprintTime: UInt64 = 5_000

    /// The file that the memory is kept in; `nil` keeps it for this run only.
    public var path: String?
    private var networks = BlockedNetworks()
    private var isLoaded = false
    private var fingerprint: (text: String, at: UInt64)?
    private var noting: Task<Void, Never>?
    private let wallClock: @Sendable () -> UInt64
    private let currentNetwork: @Sendable () -> String

    public nonisolated convenience init() {
        self.init(wallClock: UDPMemory.milliseconds, network: NetworkFingerprint.current)
    }

    nonisolated init(wallClock: @escaping @Sendable () -> UInt64, network: @escaping @Sendable () -> String) {
        self.wallClock = wallClock
        currentNetwork = network
    }

    /// What to expect of UDP on the present network.
    func expectation() async -> DialMachine.UDPExpectation {
        let network = await network()
        guard let entry = networks.entry(network, now: wallClock()) else { return .works }
        return .blocked(isProbed: entry.probeAt <= wallClock())
    }

    /// How long until UDP is to be looked at again; `nil` when it is not known to be blocked.
    func timeToProbe() async -> Duration? {
        let network = await network()
        return networks.entry(network, now: wallClock()).map { entry in
            .milliseconds(Int64(clamping: entry.probeAt - min(entry.probeAt, wallClock())))
        }
    }

    /// Takes note of what a race between UDP and TCP to one node has shown.
    func note(works: Bool) {
        let previous = noting
        noting = networkTask { [self] in
            await previous?.value
            // Looked up anew: by now the gateway's hardware address is known, which it may not have been before.
            fingerprint = nil
            let network = await network()
            let before = networks
            if works { networks.noteWorks(network) } else { networks.noteBlocked(network, now: wallClock()) }
            if networks != before { await save(network) }
        }
    }

    /// Waits until what was noted is in the file.
    public func flush() async { await noting?.value }

    private func network() async -> String {
        let now = wallClock()
        if isLoaded, let fingerprint, now >= fingerprint.at, now - fingerprint.at < Self.fingerprintTime {
            return fingerprint.text
        }
        let (path, currentNetwork, isLoaded) = (path, currentNetwork, isLoaded)
        let found = try? await offload { () -> (String, [UInt8]) in
            let text = isLoaded ? nil : path.map { StateFile.read($0, limit: BlockedNetworks.fileLimit) }
            return (currentNetwork(), text ?? [])
        }
        guard let found else { return "" }
        if !self.isLoaded {
            self.isLoaded = true
            networks = BlockedNetworks(text: found.1)
        }
        fingerprint = (found.0, now)
        return found.0
    }

    /// Another process may have written of other networks meanwhile: only this one's line is exchanged.
    private func save(_ network: String) async {
        guard let path else { return }
        let entry = networks.entries[network]
        try? await offload {
            var stored = BlockedNetworks(text: StateFile.read(path, limit: BlockedNetworks.fileLimit))
            stored.set(entry, of: network)
            StateFile.replace(path, with: stored.text)
        }
    }

    private nonisolated static func milliseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(clamping: time.tv_sec) &* 1_000 &+ UInt64(clamping: time.tv_nsec) / 1_000_000
    }
}
