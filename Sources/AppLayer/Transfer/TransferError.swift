/// Why a transfer, or one file of it, failed. Equal by code.
public struct TransferError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Open: more codes may come.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// The code as a case, for whoever must have an answer to each.
        package let known: Known

        fileprivate init(_ known: Known) { self.known = known }

        /// A number that this version does not know reads as `failed`: the reason in words says more.
        init(number: UInt32) { self.init(Known(rawValue: number) ?? .failed) }

        public var name: String { "\(known)" }
        /// On the wire.
        var number: UInt32 { known.rawValue }

        public var description: String { name }

        /// With the numbers on the wire.
        package enum Known: UInt32, CaseIterable, Sendable {
            case notAllowed = 1
            case tooLarge, noSpace, badName, busy, cancelled, oneFileOnly, badOffer, fileAccess, changedWhileSending
            case hashMismatch, protocolViolation, stalled, notFound, connectionLost, notAFile, failed
        }
    }

    /// A side of a transfer.
    package enum Side: String, Sendable {
        case sender
        case receiver
    }

    public let code: Code
    /// What happened, in words; from the peer when ``isFromPeer``, then to be escaped before it reaches a terminal.
    public let message: String
    /// The peer decided so.
    public let isFromPeer: Bool
    /// The peer that said ``message`` of itself; `nil` when these are this side's words.
    package let speaker: Side?
    /// The limit that was exceeded (`tooLarge`), or the bytes needed (`noSpace`).
    public let limit: UInt64?
    /// The bytes there were (`noSpace`).
    public let available: UInt64?
    package let underlying: (any Error)?

    package init(
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

extension TransferError.Code {
    /// The receiver does not take anything from this sender.
    public static let notAllowed = Self(.notAllowed)
    /// More bytes than the receiver's limit.
    public static let tooLarge = Self(.tooLarge)
    /// Not enough room on the receiver's disk.
    public static let noSpace = Self(.noSpace)
    /// A name that cannot safely be created.
    public static let badName = Self(.badName)
    /// The same file is being received already.
    public static let busy = Self(.busy)
    /// Given up on purpose.
    public static let cancelled = Self(.cancelled)
    /// The receiver takes one file only (it writes to a pipe).
    public static let oneFileOnly = Self(.oneFileOnly)
    /// An offer beyond the limits of the protocol.
    public static let badOffer = Self(.badOffer)
    /// Reading or writing a file failed.
    public static let fileAccess = Self(.fileAccess)
    /// The file was not the same from beginning to end.
    public static let changedWhileSending = Self(.changedWhileSending)
    /// What arrived is not what was sent.
    public static let hashMismatch = Self(.hashMismatch)
    /// The other side broke the protocol.
    public static let protocolViolation = Self(.protocolViolation)
    /// No byte was acknowledged for too long.
    public static let stalled = Self(.stalled)
    /// A file named to be sent does not exist.
    public static let notFound = Self(.notFound)
    /// The connection or stream ended.
    public static let connectionLost = Self(.connectionLost)
    /// Neither a file nor a folder: a symlink, device, pipe or socket.
    public static let notAFile = Self(.notAFile)
    /// Something that this code has no word for; the peer learns no more than that.
    public static let failed = Self(.failed)
}
