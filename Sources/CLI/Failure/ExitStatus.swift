/// Every status the process can end with: sysexits(3), and 128 + the signal's number.
enum ExitStatus: UInt8, CaseIterable, Sendable {
    case ok = 0
    case usage = 64
    case badData = 65
    case inputMissing = 66
    case unknownPeer = 68
    case unavailable = 69
    case internalError = 70
    case osError = 71
    case cannotCreate = 73
    case ioError = 74
    case tryAgain = 75
    case protocolViolation = 76
    case permission = 77
    case configuration = 78
    case interrupted = 130
    case brokenPipe = 141
    case terminated = 143

    /// The sentence in EXIT STATUS of the man pages.
    var meaning: String {
        switch self {
        case .ok: "Success."
        case .usage: "The command line is wrong."
        case .badData: "Bad data: a corrupt key, a malformed NodeID or address, content that does not match its hash."
        case .inputMissing: "An input file is missing or cannot be read."
        case .unknownPeer: "No address is known for the peer, or a host name does not resolve."
        case .unavailable: "No path to the peer: unreachable, UDP blocked, or a relay refused."
        case .internalError: "A bug in dep2p."
        case .osError: "The operating system refused something, such as a socket or a port."
        case .cannotCreate: "An output file or folder cannot be created."
        case .ioError: "Reading or writing failed."
        case .tryAgain: "Temporary, try again: timeout, stall, peer offline."
        case .protocolViolation: "The peer broke the protocol, or is not the NodeID it should be."
        case .permission: "Not permitted: the realm or the peer refused, or a key file is readable by others."
        case .configuration: "The configuration file or a DEP2P_ variable is wrong."
        case .interrupted: "Stopped by SIGINT."
        case .brokenPipe: "The reader of standard output left before the work was done."
        case .terminated: "Stopped by SIGTERM."
        }
    }
}
