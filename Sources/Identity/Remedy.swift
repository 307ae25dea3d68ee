/// What to do about an error: for a program to act on, and for whoever faces a user to say in words of their own.
///
/// The engine knows no options and no commands. Its own words for a remedy, ``description``, name the thing that helps; a
/// program that has an option for it names the option.
public enum Remedy: Hashable, Sendable, CustomStringConvertible {
    // Time
    /// The same again may succeed.
    case tryAgain
    /// The same may succeed later: something is at its limit now.
    case tryLater
    /// The wait was shorter than it may have to be.
    case waitLonger
    // Keys
    case makeIdentity
    case makeRealmKey
    /// The identity file is encrypted.
    case givePassphrase
    /// Others may read the key file at `path`, as it is shown to people.
    case makePrivate(path: String)
    // The realm
    case joinRealm
    case leaveRealm
    /// Both nodes need the same realm key.
    case shareRealmKey
    // What this node, a relay or the network gives
    /// A preset with more room, or fewer connections.
    case raisePreset
    /// Another port to listen on: this one is taken.
    case changePort
    /// A limit of a relay, by its name; who runs the relay can raise it.
    case raiseRelayLimit(String)
    /// A relay that is reached over TCP: UDP does not pass.
    case nameRelayOverTCP
    // What is sent
    /// A message is too large, a file may have any size.
    case sendAsFile
    /// Anything else, in words that hold for every program: lower case, no full stop.
    case advice(String)

    public var description: String {
        switch self {
        case .tryAgain: "try again"
        case .tryLater: "try again later"
        case .waitLonger: "try again, or wait longer"
        case .makeIdentity: "make an Ed25519 identity"
        case .makeRealmKey: "make a realm key"
        case .givePassphrase: "give its passphrase"
        case .makePrivate(let path): "run chmod 600 \(path)"
        case .joinRealm: "join a realm with its key"
        case .leaveRealm: "leave the realm first"
        case .shareRealmKey: "both nodes need the same realm key"
        case .raisePreset: "close connections, or choose a larger preset"
        case .changePort: "another program uses this port: choose another, or 0 for a free one"
        case .raiseRelayLimit(let name): "try again later, or ask the relay's owner to raise \(name)"
        case .nameRelayOverTCP: "name a relay by an address with /tcp/PORT/tls too"
        case .sendAsFile: "send it as a file instead"
        case .advice(let words): words
        }
    }
}
