import DeP2P

extension Remedy {
    /// What to do, by the names that this program's options and commands have.
    var hint: String {
        switch self {
        case .waitLonger: "try again, or wait longer with --timeout"
        case .makeIdentity: "make one with dep2p keygen or openssl genpkey -algorithm ed25519"
        case .makeRealmKey: "make one with dep2p realm-key"
        case .givePassphrase: "give its passphrase with --passphrase-file"
        case .joinRealm: "join a realm with its key: --realm-key FILE"
        case .raisePreset: "close connections, or choose a larger preset with --preset"
        case .changePort: "another program uses this port: choose another with --listen, or 0 for a free one"
        case .nameRelayOverTCP:
            "give a relay's address with /tcp/PORT/tls too: --relay /ip4/…/tcp/443/tls/p2p/RELAY"
        case .raiseRelayLimit(let name):
            RelayLimits.options[name].map { "try again later; the relay's owner can raise it with --\($0.long)" }
                ?? description
        case .tryAgain, .tryLater, .makePrivate, .leaveRealm, .shareRealmKey, .sendAsFile, .advice: description
        }
    }
}
