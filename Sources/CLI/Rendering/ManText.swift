/// The prose of the manual that belongs to no command.
enum ManText {
    static let configuration = CommandEntry.Term(
        "$XDG_CONFIG_HOME/dep2p/config, /etc/dep2p/config",
        "Settings: lines `key = value`, where the key is the long name of an option that has a variable in ENVIRONMENT. "
            + "Lines that start with # are comments. An unknown key is an error, and so is one that stands twice, unless its "
            + "option can be given repeatedly. XDG_CONFIG_HOME is ~/.config when unset. "
            + "`name.WORD = NODEID`, or an address, gives a node a name: WORD then stands wherever a NodeID or the address of a "
            + "node is wanted, as in `--to WORD`, `--allow WORD` or `--peer WORD`. Of two files the user's counts.")

    static let files: [CommandEntry.Term] = [
        .init(
            "$XDG_DATA_HOME/dep2p/identity.pem",
            "The identity: a PKCS#8 PEM file of mode 0600, made on first use. XDG_DATA_HOME is ~/.local/share when unset. "
                + "An identity.pem in `$CREDENTIALS_DIRECTORY` goes before it."),
        .init(
            "$XDG_DATA_HOME/dep2p/realm.key",
            "The realm key, when no other is named. A realm.key in `$CREDENTIALS_DIRECTORY` goes before it."),
        .init(
            "$XDG_STATE_HOME/dep2p",
            "What the node remembers. XDG_STATE_HOME is ~/.local/state when unset; under systemd `$STATE_DIRECTORY` is used. "
                + "NODEID.lock there is held by the command that answers under that NodeID: `dep2p start`, `dep2p listen` or "
                + "`dep2p relay`. A second one is refused with status 75; commands that only go out run beside it."),
        configuration,
    ]

    static let environment: [CommandEntry.Term] = [
        .init("DEP2P_CONFIG", "The same as `--config`."),
        .init("NO_COLOR", "When set and not empty: no colour."),
        .init("XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_STATE_HOME", "See FILES. Empty and relative values are ignored."),
    ]

    static let settings: [String] = [
        "What the command line says goes before variables, variables before the user's configuration file, that before the "
            + "system's, and all of them before the preset. `-v` tells where a setting comes from.",
        "A switch is `true` or `false` in a variable or a configuration file. An empty variable counts as unset, "
            + "but for DEP2P_ALLOW, which is an error then.",
    ]

    static let json: [String] = [
        "With `--json` standard output carries one object a line, written at once. Every object has `v` (1) and `type`. The "
            + "first is `hello` with `command`, `node_id` and `version`. The last is `result` with `ok`, `code` and `exit`, "
            + "the exit status; after a failure also with `message` and `hint`. Objects and fields may be added, never "
            + "changed or removed. A path that is not UTF-8 stands in base64 in a field whose name ends in `_base64`.",
        "A reader that falls behind holds nothing up: when more than 1 MiB waits for it, events that only tell how things "
            + "go are left out, and a `dropped` with their `count` stands in their place. What arrived and how it ended is "
            + "never left out.",
        "A `storage` says when what a node remembers can no longer be kept, and when it can again: `state` (`memory-only`, "
            + "`kept`, or `started-anew` after a damaged file was put aside), `reason` and `path`.",
        "The values of `code` beside `ok`:",
    ]

    static let requirements: [String] = [
        "Linux. Built with ngtcp2 1.11 or later: with the releases before 1.4 that some distributions still have, a stranger "
            + "ends a node with one packet. `Sources/quickstart.sh` builds a release of it in which one thing is mended, so "
            + "that links which lose packets at random are filled too."
    ]
}
