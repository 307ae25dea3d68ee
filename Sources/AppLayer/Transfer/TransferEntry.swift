internal import DeP2PIdentity

/// One file, folder or stream of a transfer. Its index is its position in the offer.
public struct TransferEntry: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        case file
        case directory
        /// Bytes of unknown number: standard input.
        case stream
    }

    public let kind: Kind
    /// Components of the relative path.
    public let path: [String]
    /// Bytes; `nil` for a stream, 0 for a folder.
    public let size: UInt64?
    package let isExecutable: Bool
    /// Nanoseconds since 1970.
    package let modified: Int64?
    /// Bytes of a file with holes that are not in them; `nil` when nothing is known of holes.
    package let dataSize: UInt64?

    package init(
        kind: Kind, path: [String], size: UInt64?, isExecutable: Bool = false, modified: Int64? = nil,
        dataSize: UInt64? = nil
    ) {
        self.kind = kind
        self.path = path
        self.size = size
        self.isExecutable = isExecutable
        self.modified = modified
        self.dataSize = dataSize
    }

    /// The path with slashes; a peer may have chosen it, so escape it before it reaches a terminal.
    public var name: String { path.joined(separator: "/") }
}
