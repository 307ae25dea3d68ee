/// The table of commands. Adding one takes a file in Commands/ and an entry here.
enum CommandTable {
    /// In the order of the help: what one does first comes first.
    static let commands: [CommandEntry] = [
        .keygen, .realmKey, .send, .listen, .publish, .subscribe, .start, .ping, .relay, .dhtFind, .natCheck,
    ]

    static let summary = "send files and messages to a NodeID inside a realm"

    static let description: [String] = [
        "A node is named by its NodeID, the public half of a key pair made by `dep2p keygen` or on first use. Nodes that "
            + "hold the same realm key (`dep2p realm-key`) form a realm: they find each other acceptable, and nobody else.",
        "Connections are QUIC, encrypted end to end, and always to the NodeID that was named: another node at the same "
            + "address is refused.",
        "The exit status and the output of `--json` are a contract and change only by additions. Text for people may "
            + "change at any time.",
    ]

    static let examples: [CommandEntry.Example] = [
        .init(says: "make a realm; copy realm.key to the other machine", line: "dep2p realm-key -o realm.key"),
        .init(
            says: "receive; prints the send line to paste on the other machine",
            line: "dep2p listen --realm-key realm.key -o inbox"),
        .init(says: "send files and folders", line: "dep2p send --realm-key realm.key --to ADDR disk.img notes/"),
        .init(says: "send a message", line: "dep2p send --realm-key realm.key --to ADDR -m 'build 512 is green'"),
    ]

    /// The statuses that any command can end with.
    static let universalStatuses: [ExitStatus] = [
        .ok, .usage, .internalError, .osError, .ioError, .configuration, .interrupted, .brokenPipe, .terminated,
    ]

    static func command(named name: String) -> CommandEntry? { commands.first { $0.name == name } }

    /// Every option that can stand before the command: all that are not a command's own.
    static let commonOptions: [OptionEntry] = CommonOptions.identity + CommonOptions.network + CommonOptions.general

    /// Every option that can be set by a variable or in the configuration file; once, also when several commands have it.
    static var settings: [OptionEntry] {
        var settings: [OptionEntry] = []
        for option in commonOptions + commands.flatMap(\.options) where option.isSetting && !settings.contains(option) {
            settings.append(option)
        }
        return settings
    }
}
