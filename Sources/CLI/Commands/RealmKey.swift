import DeP2P

extension CommandEntry {
    static let realmKey = CommandEntry(
        name: "realm-key",
        summary: "make a realm key, or show the RealmID of one",
        synopses: ["[-o FILE]", "--show FILE"],
        description: [
            "Makes a new realm key, 32 random bytes written as 64 hexadecimal digits, to FILE or to standard output. Nodes "
                + "that hold the same key are members of one realm and accept messages and files from each other; nobody "
                + "else learns more than that a node is there.",
            "Bring the file to the other machines over a way that you trust.",
        ],
        operands: .none,
        options: [.realmKeyOutput, .realmKeyShow],
        examples: [
            .init(says: "make a realm; prints its RealmID", line: "dep2p realm-key -o realm.key"),
            .init(says: "bring the key to another machine", line: "scp realm.key other.example:"),
        ],
        statuses: [.badData, .inputMissing, .cannotCreate, .permission],
        events: [.init("result", "Adds `realm_id` and `path`, the file written or shown.")],
        notes: [
            "The RealmID is derived from the key and can be told to anyone; it shows whether two nodes have the same key. A "
                + "key file that group or others can read is refused (status 77), and an existing file is never replaced."
        ],
        plan: { options throws(CLIError) in try RealmKeyPlan(options) })
}

extension OptionEntry {
    static let realmKeyOutput = OptionEntry(
        "output", short: "o", value: .file, summary: "write the key to FILE (mode 0600)",
        paragraphs: [
            "Write the key to FILE, with mode 0600; the file appears whole or not at all. `-`, the default, is standard "
                + "output."
        ])
    static let realmKeyShow = OptionEntry(
        "show", value: .file, summary: "show the RealmID of the key in FILE",
        paragraphs: ["Make nothing; show the RealmID of the key in FILE, or on standard input for `-`."])
}

struct RealmKeyPlan: CommandPlan, Equatable {
    enum Action: Equatable, Sendable {
        case make(KeyDestination)
        case show([UInt8])
    }

    let action: Action

    init(_ options: ResolvedOptions) throws(CLIError) {
        let output = options.path(.realmKeyOutput)
        if let shown = options.path(.realmKeyShow) {
            guard output == nil else { throw CLIError(.usage, "--show makes nothing: it excludes --output") }
            action = .show(shown)
        } else {
            action = .make(try KeyDestination(output, isJSON: options.isSet(.json)))
        }
    }

    func run(in context: RunContext) async throws(CLIError) -> CommandResult {
        let output = context.output
        switch action {
        case .show(let path):
            let key = try RealmKeyFile.load(path)
            output.result(key.id.description)
            return CommandResult(fields: Self.fields(key, path))
        case .make(.standardOutput):
            let key = RealmKey.generate()
            output.content(Array((key.hex + "\n").utf8))
            output.note("RealmID \(key.id)")
            return CommandResult()
        case .make(.file(let path)):
            let key = RealmKey.generate()
            do {
                try key.create(path: path)
            } catch {
                throw CLIError(writing: error)
            }
            output.result(key.id.description)
            let shown = TerminalText.escape(path)
            output.note("realm key written to \(shown); use it with --realm-key \(shown)")
            return CommandResult(fields: Self.fields(key, path))
        }
    }

    private static func fields(_ key: RealmKey, _ path: [UInt8]) -> [JSONField] {
        [.string("realm_id", key.id.description), .path("path", path)]
    }
}
