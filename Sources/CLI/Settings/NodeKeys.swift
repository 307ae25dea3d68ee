import DeP2P

/// The keys that a node runs with, read from where the plan says.
struct NodeKeys: Sendable {
    let identity: IdentityKey
    /// Nil: in no realm.
    let realm: RealmKey?

    /// Reads the keys, and makes the identity when it is used for the first time.
    ///
    /// - Parameter needsRealm: no realm key is an error.
    static func load(_ plan: NodePlan, needsRealm: Bool, _ output: Output) throws(CLIError) -> NodeKeys {
        let realm = try realm(plan, needed: needsRealm, output)
        return NodeKeys(identity: try identity(plan, output), realm: realm)
    }

    /// Reads the realm key; nil when there is none.
    static func realm(_ plan: NodePlan, needed: Bool, _ output: Output) throws(CLIError) -> RealmKey? {
        try realmKey(plan.realmKey, needsRealm: needed, output)
    }

    private static func identity(_ plan: NodePlan, _ output: Output) throws(CLIError) -> IdentityKey {
        switch plan.identity {
        case .ephemeral: return IdentityKey.generate()
        case .file(let path): return try load(path, plan, output)
        case .standard(let paths):
            if let path = paths.first(where: FileReading.exists) { return try load(path, plan, output) }
            guard let path = paths.last else {
                throw CLIError(
                    .configuration, "there is no place for an identity: HOME is not set",
                    hint: "give --identity FILE or --ephemeral")
            }
            return try make(path, plan, output)
        }
    }

    private static func load(_ path: [UInt8], _ plan: NodePlan, _ output: Output) throws(CLIError) -> IdentityKey {
        output.detail("identity from \(TerminalText.escape(path))")
        return try PassphraseFile.with(plan.passphraseFile) { passphrase throws(CLIError) in
            try load(path, passphrase)
        }
    }

    private static func load(_ path: [UInt8], _ passphrase: [UInt8]?) throws(CLIError) -> IdentityKey {
        do {
            return try IdentityFile.load(path: path, passphrase: passphrase)
        } catch {
            throw CLIError(reading: error)
        }
    }

    private static func make(_ path: [UInt8], _ plan: NodePlan, _ output: Output) throws(CLIError) -> IdentityKey {
        try PassphraseFile.with(plan.passphraseFile) { passphrase throws(CLIError) in
            try make(path, passphrase, output)
        }
    }

    private static func make(_ path: [UInt8], _ passphrase: [UInt8]?, _ output: Output) throws(CLIError) -> IdentityKey
    {
        let key = IdentityKey.generate()
        do {
            try IdentityFile.create(key, path: path, passphrase: passphrase)
            output.note("new identity \(key.nodeID) in \(TerminalText.escape(path))")
            return key
        } catch {
            // Another process made it at the same time: the file appears whole, so it can be read.
            guard error.code == .fileExists else { throw Self.unwritable(CLIError(writing: error)) }
        }
        return try load(path, passphrase)
    }

    private static func unwritable(_ error: CLIError) -> CLIError {
        CLIError(
            error.code, error.message,
            hint: error.hint
                ?? "give --ephemeral for an identity of this run only, or --identity FILE where one can be kept")
    }

    private static func realmKey(
        _ source: NodePlan.RealmKeySource, needsRealm: Bool, _ output: Output
    ) throws(CLIError) -> RealmKey? {
        switch source {
        case .standardInput: return try RealmKeyFile.load([UInt8(ascii: "-")])
        case .file(let path): return try RealmKeyFile.load(path)
        case .standard(let paths):
            if let path = paths.first(where: FileReading.exists) {
                output.detail("realm key from \(TerminalText.escape(path))")
                return try RealmKeyFile.load(path)
            }
            guard !needsRealm else {
                throw CLIError(
                    .notMember, "no realm key: this node is in no realm",
                    hint: "make one with dep2p realm-key -o FILE, and give it to both sides with --realm-key FILE")
            }
            return nil
        }
    }
}
