import DeP2P

extension CommandEntry {
    static let keygen = CommandEntry(
        name: "keygen",
        summary: "make an identity, or show the NodeID of one",
        synopses: ["[-o FILE] [--passphrase-file FILE] [--force]", "--show FILE [--passphrase-file FILE]"],
        description: [
            "Makes a new Ed25519 key pair and writes it as PKCS#8 PEM, to FILE or to standard output when that is no "
                + "terminal. The NodeID, the name by which others reach this node, follows from the public key. "
                + "`openssl pkey` reads the file.",
            "Commands that need an identity make one on first use; this command is for those who want it elsewhere, "
                + "encrypted, or beforehand.",
        ],
        operands: .none,
        options: [.keygenForce, .keygenOutput, .keygenShow],
        common: [.passphraseFile],
        examples: [
            .init(says: "make an identity; prints its NodeID", line: "dep2p keygen -o node.pem"),
            .init(says: "show the NodeID of an identity", line: "dep2p keygen --show node.pem"),
        ],
        statuses: [.badData, .inputMissing, .cannotCreate, .permission],
        events: [.init("result", "Adds `node_id` and `path`, the file written or shown.")],
        notes: [
            "An identity file that group or others can read is refused (status 77). An existing file is kept unless "
                + "`--force` is given: whoever overwrites an identity loses the NodeID."
        ],
        plan: { options throws(CLIError) in try KeygenPlan(options) })
}

extension OptionEntry {
    static let keygenForce = OptionEntry(
        "force", short: "f", summary: "replace an existing FILE",
        paragraphs: ["Replace an existing FILE. The identity in it, and so its NodeID, is lost."])
    static let keygenOutput = OptionEntry(
        "output", short: "o", value: .file, summary: "write the identity to FILE (mode 0600); - is standard output",
        paragraphs: [
            "Write the identity to FILE, with mode 0600; the file appears whole or not at all. With `-` write it to standard "
                + "output even when that is a terminal."
        ])
    static let keygenShow = OptionEntry(
        "show", value: .file, summary: "show the NodeID of the identity in FILE",
        paragraphs: ["Make nothing; show the NodeID of the identity in FILE, or on standard input for `-`."])
}

struct KeygenPlan: CommandPlan, Equatable {
    enum Action: Equatable, Sendable {
        /// To a file, or to standard output: also to a terminal when the user said so.
        case make(KeyDestination, replace: Bool)
        case show([UInt8])
    }

    let action: Action
    let passphraseFile: [UInt8]?

    private static let maximumIdentityFile = 16 * 1024

    init(_ options: ResolvedOptions) throws(CLIError) {
        passphraseFile = options.path(.passphraseFile)
        let output = options.path(.keygenOutput)
        if let shown = options.path(.keygenShow) {
            guard output == nil, !options.isSet(.keygenForce) else {
                throw CLIError(.usage, "--show makes nothing: it excludes --output and --force")
            }
            try StandardInput.checkSingleReader([("--show", shown), ("--passphrase-file", passphraseFile)])
            action = .show(shown)
        } else {
            let destination = try KeyDestination(output, isJSON: options.isSet(.json))
            action = .make(destination, replace: options.isSet(.keygenForce))
        }
    }

    func run(in context: RunContext) async throws(CLIError) -> CommandResult {
        switch action {
        case .make(let destination, let replace):
            try destination.check(context.output, what: "the identity")
            return try PassphraseFile.with(passphraseFile) { passphrase throws(CLIError) in
                try make(destination, replace, passphrase, context.output)
            }
        case .show(let path):
            let key = try PassphraseFile.with(passphraseFile) { passphrase throws(CLIError) in
                try Self.load(path, passphrase: passphrase)
            }
            context.output.result(key.nodeID.description)
            return CommandResult(fields: Self.fields(key, path))
        }
    }

    private func make(
        _ destination: KeyDestination, _ replace: Bool, _ passphrase: [UInt8]?, _ output: Output
    ) throws(CLIError) -> CommandResult {
        let key = IdentityKey.generate()
        do throws(IdentityError) {
            switch destination {
            case .standardOutput:
                output.content(try IdentityFile.pem(key, passphrase: passphrase))
                output.note("NodeID \(key.nodeID)")
                return CommandResult()
            case .file(let path):
                try IdentityFile.create(key, path: path, passphrase: passphrase, replace: replace)
                output.result(key.nodeID.description)
                let shown = TerminalText.escape(path)
                output.note("identity written to \(shown); use it with --identity \(shown)")
                return CommandResult(fields: Self.fields(key, path))
            }
        } catch {
            let mapped = CLIError(writing: error)
            let hint = mapped.code == .exists ? "--force replaces it, and its NodeID is lost" : mapped.hint
            throw CLIError(mapped.code, mapped.message, hint: hint)
        }
    }

    private static func load(_ path: [UInt8], passphrase: [UInt8]?) throws(CLIError) -> IdentityKey {
        let isDash = path == [UInt8(ascii: "-")]
        var input = isDash ? try FileReading.read(path, limit: maximumIdentityFile, what: "identity") : []
        defer { wipe(&input) }
        do {
            return isDash
                ? try IdentityFile.key(pem: input, passphrase: passphrase)
                : try IdentityFile.load(path: path, passphrase: passphrase)
        } catch {
            throw CLIError(reading: error)
        }
    }

    private static func fields(_ key: IdentityKey, _ path: [UInt8]) -> [JSONField] {
        [.string("node_id", key.nodeID.description), .path("path", path)]
    }
}
