/// A domain name: its labels from the most specific one on, in lower case, since case does not tell names apart
/// (RFC 6762 section 16). No label is the root.
package struct DNSName: Hashable, Sendable {
    /// Bytes of a label, and of a whole name with its lengths and the root's (RFC 1035 section 2.3.4).
    package static let longestLabel = 63
    package static let longest = 255

    package let labels: [[UInt8]]

    /// `nil` when a label is empty or too long, or the whole is.
    package init?(labels: [[UInt8]]) {
        let length = labels.reduce(1) { $0 + $1.count + 1 }
        guard length <= Self.longest, labels.allSatisfy({ (1...Self.longestLabel).contains($0.count) }) else {
            return nil
        }
        self.labels = labels.map { $0.map(Self.lowered) }
    }

    /// Of labels that are known to be good: short constants.
    init(trusted labels: String...) { self.labels = labels.map { Array($0.utf8) } }

    /// The name one label below this one.
    package func child(_ label: [UInt8]) -> DNSName? { DNSName(labels: [label] + labels) }

    /// The name one label above; `nil` above the root.
    package var parent: DNSName? { labels.isEmpty ? nil : DNSName(ancestor: Array(labels.dropFirst())) }

    private init(ancestor labels: [[UInt8]]) { self.labels = labels }

    private static func lowered(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }
}
