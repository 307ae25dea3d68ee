/// Where files are when nobody says otherwise: the XDG base directory specification 0.8, and what systemd passes to a
/// service. Relative and empty values are ignored, as the specification demands.
struct StandardPaths: Sendable, Equatable {
    /// `$XDG_DATA_HOME/dep2p`: the identity and the realm key. Nil when there is no home either.
    let data: [UInt8]?
    /// `$XDG_STATE_HOME/dep2p`, or the service's own folder.
    let state: [UInt8]?
    /// Configuration files, the one that wins first.
    let configurations: [[UInt8]]
    /// `$CREDENTIALS_DIRECTORY`.
    let credentials: [UInt8]?

    init(_ environment: Environment) {
        let home = Self.absolute(environment["HOME"])
        func base(_ variable: String, _ fallback: String) -> [UInt8]? {
            let folder = Self.absolute(environment[variable]) ?? home.map { Self.join($0, fallback) }
            return folder.map { Self.join($0, Release.program) }
        }
        data = base("XDG_DATA_HOME", ".local/share")
        let service = environment["STATE_DIRECTORY"]?.split(separator: UInt8(ascii: ":")).first.map { Array($0) }
        state = Self.absolute(service) ?? base("XDG_STATE_HOME", ".local/state")
        configurations =
            (base("XDG_CONFIG_HOME", ".config").map { [Self.join($0, "config")] } ?? [])
            + [Array("/etc/dep2p/config".utf8)]
        credentials = Self.absolute(environment["CREDENTIALS_DIRECTORY"])
    }

    /// Where the identity is, the first that exists; the last is where it is made.
    var identityFiles: [[UInt8]] { candidates("identity.pem") }
    /// Where the realm key is, the first that exists.
    var realmKeyFiles: [[UInt8]] { candidates("realm.key") }

    private func candidates(_ name: String) -> [[UInt8]] {
        [credentials, data].compactMap { $0.map { Self.join($0, name) } }
    }

    static func join(_ folder: [UInt8], _ name: String) -> [UInt8] {
        folder + (folder.last == UInt8(ascii: "/") ? [] : [UInt8(ascii: "/")]) + Array(name.utf8)
    }

    private static func absolute(_ path: [UInt8]?) -> [UInt8]? {
        path?.first == UInt8(ascii: "/") ? path : nil
    }
}
