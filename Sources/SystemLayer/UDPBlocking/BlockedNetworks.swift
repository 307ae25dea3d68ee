internal import Glibc

/// Networks on which UDP did not pass, and when to look again whether it does: pure.
///
/// Times are milliseconds since 1970, since they outlive the process. The file is text: a header, then a line for each
/// network with its fingerprint, how often UDP has failed there, and the time of the next look.
struct BlockedNetworks: Equatable {
    /// Networks remembered; the one whose look is longest due gives way.
    static let limit = 64
    /// Between two looks: the first, doubled with each failure up to the longest.
    static let firstProbe: UInt64 = 60_000
    static let longestProbe: UInt64 = 3_600_000
    /// Bytes of the file that are looked at.
    static let fileLimit = 8 * 1024
    private static let header = "dep2p udp-blocked 1"

    struct Entry: Equatable {
        var failures: Int
        var probeAt: UInt64
    }

    private(set) var entries: [String: Entry] = [:]

    /// What is known of `network`; `nil` when nothing is: UDP is expected to work.
    func entry(_ network: String, now: UInt64) -> Entry? {
        guard var entry = entries[network] else { return nil }
        // A clock that was set back must not put the next look off.
        entry.probeAt = min(entry.probeAt, now &+ Self.longestProbe)
        return entry
    }

    /// UDP did not pass: the next look is twice as far away as the last, unless that is still to come.
    mutating func noteBlocked(_ network: String, now: UInt64) {
        if let known = entry(network, now: now) {
            guard known.probeAt <= now else { return }
            let wait = min(Self.firstProbe << UInt64(min(known.failures, 16)), Self.longestProbe)
            entries[network] = Entry(failures: known.failures + 1, probeAt: now &+ wait)
            return
        }
        if entries.count >= Self.limit, let oldest = entries.min(by: { $0.value.probeAt < $1.value.probeAt })?.key {
            entries[oldest] = nil
        }
        entries[network] = Entry(failures: 1, probeAt: now &+ Self.firstProbe)
    }

    mutating func noteWorks(_ network: String) { entries[network] = nil }

    mutating func set(_ entry: Entry?, of network: String) {
        guard entries.count < Self.limit || entries[network] != nil || entry == nil else { return }
        entries[network] = entry
    }

    // MARK: The file

    /// Reads what ``text`` wrote; whatever else there is counts as nothing known.
    init(text: [UInt8] = []) {
        guard text.count <= Self.fileLimit, let text = String(validating: text, as: UTF8.self) else { return }
        let lines = text.split(separator: "\n")
        guard lines.first.map({ $0 == Self.header }) ?? false else { return }
        for line in lines.dropFirst().prefix(Self.limit) {
            let fields = line.split(separator: " ", omittingEmptySubsequences: false)
            guard fields.count == 3, NetworkFingerprint.isFingerprint(fields[0]), let failures = Int(fields[1]),
                (1...1_000).contains(failures), let probeAt = UInt64(fields[2])
            else { continue }
            entries[String(fields[0])] = Entry(failures: failures, probeAt: probeAt)
        }
    }

    var text: [UInt8] {
        let lines = entries.sorted { $0.key < $1.key }.map { network, entry in
            "\(network) \(min(entry.failures, 1_000)) \(entry.probeAt)"
        }
        return Array(([Self.header] + lines).joined(separator: "\n").utf8) + [UInt8(ascii: "\n")]
    }
}
