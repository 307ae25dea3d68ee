/// Why a command failed: a code that is part of the contract, one line that says what, and one that says what to do.
///
/// Text that a peer or a file chose is escaped by whoever puts it into `message` or `hint` (``TerminalText``).
struct CLIError: Error, Equatable, Sendable {
    let code: Code
    /// Lower case, no full stop.
    let message: String
    let hint: String?
    /// Lines between the error and the hint, such as the table of attempts.
    let details: [String]
    /// More fields of the JSON result.
    let fields: [JSONField]

    init(
        _ code: Code, _ message: String, hint: String? = nil, details: [String] = [], fields: [JSONField] = []
    ) {
        self.code = code
        self.message = message
        self.hint = hint
        self.details = details
        self.fields = fields
    }

    /// The field `code` of the JSON result, and the exit status that goes with it.
    struct Code: Hashable, Sendable {
        let name: String
        let status: ExitStatus
        /// The sentence in the man page.
        let meaning: String
    }
}

extension CLIError.Code {
    static let usage = Self(name: "usage", status: .usage, meaning: "The command line is wrong.")
    static let badValue = Self(name: "badValue", status: .usage, meaning: "An option's value is malformed.")
    static let badNodeID = Self(name: "badNodeID", status: .badData, meaning: "A NodeID is malformed.")
    static let badContentKey = Self(
        name: "badContentKey", status: .badData, meaning: "A CID, or the key of a record, is malformed.")
    static let badAddress = Self(name: "badAddress", status: .badData, meaning: "An address is malformed.")
    static let badKey = Self(name: "badKey", status: .badData, meaning: "A key file is corrupt or of another kind.")
    static let badPassphrase = Self(
        name: "badPassphrase", status: .badData, meaning: "The passphrase is missing, empty or wrong.")
    static let hashMismatch = Self(
        name: "hashMismatch", status: .badData, meaning: "Content does not match its hash.")
    static let tooLarge = Self(
        name: "tooLarge", status: .badData, meaning: "A message or name is larger than the protocol allows.")
    static let badName = Self(
        name: "badName", status: .badData, meaning: "A file name that the receiver can't safely create.")
    static let inputMissing = Self(
        name: "inputMissing", status: .inputMissing, meaning: "An input file is missing or cannot be read.")
    static let unknownPeer = Self(
        name: "unknownPeer", status: .unknownPeer, meaning: "No address is known for the NodeID.")
    static let notFound = Self(
        name: "notFound", status: .unknownPeer, meaning: "Nobody in the DHT has what was looked for.")
    static let unknownHost = Self(
        name: "unknownHost", status: .unknownPeer, meaning: "A host name does not resolve.")
    static let resolverFailed = Self(
        name: "resolverFailed", status: .tryAgain, meaning: "This machine's resolver did not resolve a host name.")
    static let noPath = Self(
        name: "noPath", status: .unavailable, meaning: "No way to reach the peer worked; see attempts.")
    static let udpBlocked = Self(
        name: "udpBlocked", status: .unavailable, meaning: "This network lets no UDP through.")
    static let noObserver = Self(
        name: "noObserver", status: .unavailable, meaning: "No server that observes this network answered.")
    static let noDHT = Self(
        name: "noDHT", status: .unavailable, meaning: "No node of the DHT answered, or none is known.")
    static let notDirect = Self(
        name: "notDirect", status: .unavailable, meaning: "A direct path was required and there is none.")
    static let internalError = Self(name: "internal", status: .internalError, meaning: "A bug in dep2p.")
    static let osError = Self(
        name: "osError", status: .osError, meaning: "The operating system refused something.")
    static let addressInUse = Self(
        name: "addressInUse", status: .osError, meaning: "Another process has the address to listen on.")
    static let cannotCreate = Self(
        name: "cannotCreate", status: .cannotCreate, meaning: "An output cannot be created.")
    static let exists = Self(
        name: "exists", status: .cannotCreate, meaning: "An output exists and would be overwritten.")
    static let noSpace = Self(name: "noSpace", status: .cannotCreate, meaning: "Not enough room for the output.")
    static let ioError = Self(name: "ioError", status: .ioError, meaning: "Reading or writing failed.")
    static let timeout = Self(name: "timeout", status: .tryAgain, meaning: "The time of --timeout passed.")
    static let stalled = Self(
        name: "stalled", status: .tryAgain, meaning: "The peer acknowledged no byte for 30 s.")
    static let peerOffline = Self(
        name: "peerOffline", status: .tryAgain, meaning: "The peer is not there, or went away.")
    static let identityInUse = Self(
        name: "identityInUse", status: .tryAgain, meaning: "Another process answers under this identity.")
    static let nobodyListens = Self(
        name: "nobodyListens", status: .tryAgain, meaning: "Nobody is subscribed to the topic.")
    static let busy = Self(name: "busy", status: .tryAgain, meaning: "A limit is reached at the moment.")
    static let peerFailed = Self(
        name: "peerFailed", status: .tryAgain, meaning: "The peer gave up, or failed on its side.")
    static let changed = Self(
        name: "changed", status: .tryAgain, meaning: "A file changed while it was sent.")
    static let protocolViolation = Self(
        name: "protocolViolation", status: .protocolViolation, meaning: "The peer broke the protocol.")
    static let wrongPeer = Self(
        name: "wrongPeer", status: .protocolViolation, meaning: "Another NodeID answered at the address.")
    static let notMember = Self(
        name: "notMember", status: .permission, meaning: "No realm key, or the realm refused.")
    static let refused = Self(name: "refused", status: .permission, meaning: "The peer refused.")
    static let keyFileTooOpen = Self(
        name: "keyFileTooOpen", status: .permission, meaning: "Others can read the key file.")
    static let configuration = Self(
        name: "configuration", status: .configuration,
        meaning: "The configuration file or a DEP2P_ variable is wrong.")
    static let interrupted = Self(name: "interrupted", status: .interrupted, meaning: "Stopped by SIGINT.")
    static let brokenPipe = Self(
        name: "brokenPipe", status: .brokenPipe,
        meaning: "The reader of standard output left before the work was done.")
    static let terminated = Self(name: "terminated", status: .terminated, meaning: "Stopped by SIGTERM.")

    /// Every code a result can carry besides `ok`, in the order of the man page.
    static let all: [Self] = [
        .usage, .badValue, .badNodeID, .badContentKey, .badAddress, .badKey, .badPassphrase, .hashMismatch, .tooLarge,
        .badName,
        .inputMissing,
        .unknownPeer, .notFound, .unknownHost, .noPath, .udpBlocked, .noObserver, .noDHT, .notDirect, .internalError,
        .osError,
        .addressInUse,
        .cannotCreate, .exists, .noSpace, .ioError, .timeout, .stalled, .peerOffline, .busy, .peerFailed, .changed,
        .protocolViolation,
        .wrongPeer, .notMember, .refused, .keyFileTooOpen, .configuration, .interrupted, .brokenPipe, .terminated,
        .resolverFailed, .identityInUse, .nobodyListens,
    ]
}
