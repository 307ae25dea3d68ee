/// Why a transfer, or one file of it, failed. Equal by code.
public struct TransferError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Open: more codes may come.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        public let name: String
        /// On the wire.
        let number: UInt32

        public var description: String { name }

        /// The receiver does not take anything from this sender.
        public static let notAllowed = Code(name: "notAllowed", number: 1)
        /// More bytes than the receiver's limit.
        public static let tooLarge = Code(name: "tooLarge", number: 2)
        /// Not enough room on the receiver's disk.
        public static let noSpace = Code(name: "noSpace", number: 3)
        /// A name that cannot safely be created.
        public static let badName = Code(name: "badName", number: 4)
        /// The same file is being received already.
        public static let busy = Code(name: "busy", number: 5)
        /// Given up on purpose.
        public static let cancelled = Code(name: "cancelled", number: 6)
        /// The receiver takes one file only (it writes to a pipe).
        public static let oneFileOnly = Code(name: "oneFileOnly", number: 7)
        /// An offer beyond the limits of the protocol.
        public static let badOffer = Code(name: "badOffer", number: 8)
        /// Reading or writing a file failed.
        public static let fileAccess = Code(name: "fileAccess", number: 9)
        /// The file was not the same from beginning to end.
        public static let changedWhileSending = Code(name: "changedWhileSending", number: 10)
        /// What arrived is not what was sent.
        public static let hashMismatch = Code(name: "hashMismatch", number: 11)
        /// The other side broke the protocol.
        public static let protocolViolation = Code(name: "protocolViolation", number: 12)
        /// No byte was acknowledged for too long.
        public static let stalled = Code(name: "stalled", number: 13)
        /// A file named to be sent does not exist.
        public static let notFound = Code(name: "notFound", number: 14)
        /// The connection or stream ended.
        public static let connectionLost = Code(name: "connectionLost", number: 15)
        /// Neither a file nor a folder: a symlink, device, pipe or socket.
        public static let notAFile = Code(name: "notAFile", number: 16)
        /// Something that this code has no word for; the peer learns no more than that.
        public static let failed = Code(name: "failed", number: 17)

        private init(name: String, number: UInt32) {
            self.name = name
            self.number = number
        }

        private static let all: [Code] = [
            notAllowed, tooLarge, noSpace, badName, busy, cancelled, oneFileOnly, badOffer, fileAccess,
            changedWhileSending, hashMismatch, protocolViolation, stalled, notFound, connectionLost, notAFile, failed,
        ]

        /// A number that this version does not know reads as `failed`: the reason in words says more.
        init(number: UInt32) {
            self = Self.all.first { $0.number == number } ?? .failed
        }
    }

    /// A side of a transfer.
    public enum Side: String, Sendable {
        case sender
        case receiver
    }

    public let code: Code
    /// What happened, in words; from the peer when ``isFromPeer``, then to be escaped before it reaches a terminal.
    public let message: String
    /// The peer decided so.
    public let isFromPeer: Bool
    /// The peer that said ``message`` of itself; `nil` when these are this side's words.
    public let speaker: Side?
    /// The limit that was exceeded (`tooLarge`), or the bytes needed (`noSpace`).
    public let limit: UInt64?
    /// The bytes there were (`noSpace`).
    public let available: UInt64?
    public let underlying: (any Error)?

    public init(
        _ code: Code, _ message: String, isFromPeer: Bool = false, from speaker: Side? = nil, limit: UInt64? = nil,
        available: UInt64? = nil, underlying: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.isFromPeer = isFromPeer || speaker != nil
        self.speaker = speaker
        self.limit = limit
        self.available = available
        self.underlying = underlying
    }

    public static func == (left: Self, right: Self) -> Bool { left.code == right.code }

    /// The words, and whose they are: a full disk over there must not read as one here.
    public var description: String { speaker.map { "the \($0.rawValue): \(message)" } ?? message }
}
