/// The options that mean the same in every command that takes them. Each list is sorted by long name.
enum CommonOptions {
    /// Taken by every command.
    static let general: [OptionEntry] = [.config, .help, .json, .logFormat, .noColor, .quiet, .verbose, .version]

    /// Taken by the commands that run a node.
    static let identity: [OptionEntry] = [.ephemeral, .identity, .passphraseFile, .realmKey]
    static let network: [OptionEntry] = [
        .bootstrap, .listen, .mainline, .mainlineNode, .noDHT, .noDirect, .noMDNS, .noPortMapping, .noRelay, .peer,
        .preset, .relay, .showNodeID,
        .stateDir, .timeout,
    ]

    /// Taken by the commands that only go out to others.
    static let node: [OptionEntry] = identity + network.filter { ![.noPortMapping, .showNodeID].contains($0) }
    /// Taken by the commands that are there to be reached.
    static let reachableNode: [OptionEntry] = identity + network
}

extension OptionEntry {
    static let config = OptionEntry(
        "config", value: .file, heading: .general,
        summary: "read settings from FILE instead of the usual places",
        paragraphs: [
            "Read settings from FILE and from no other configuration file. See FILES for the usual places and the form."
        ])
    static let help = OptionEntry(
        "help", short: "h", heading: .general, summary: "show this help",
        paragraphs: ["Show help on standard output and exit 0, whatever else stands on the line."])
    static let json = OptionEntry(
        "json", heading: .general, summary: "write events and the result as JSON lines",
        paragraphs: [
            "Write one JSON object a line on standard output: first `hello`, then events, last `result` with the fields "
                + "`ok`, `code` and `exit`. Byte counts are integers, times are RFC 3339 in UTC, NodeIDs are strings."
        ])
    static let logFormat = OptionEntry(
        "log-format", value: .choice("FORMAT", ["json", "text"]), heading: .general,
        summary: "form of the lines on standard error (default text)",
        paragraphs: [
            "Write each line on standard error as `text`, the default, or as `json`: an object with `time`, `level` (`error`, "
                + "`warning`, `notice`, with `-v` `debug`, with `-vv` `trace`), `message`, and what is known of it. No key is "
                + "ever among that, and addresses of other nodes only at the levels of `-v`."
        ])
    static let noColor = OptionEntry(
        "no-color", heading: .general, variable: "DEP2P_NO_COLOR", summary: "never use colour",
        paragraphs: [
            "Never use colour. Colour is only ever used on a terminal, and not when `NO_COLOR` is set or `TERM` is dumb."
        ])
    static let quiet = OptionEntry(
        "quiet", short: "q", heading: .general, summary: "no notes and no progress, only results and errors",
        paragraphs: [
            "Write no notes and no progress to standard error, only errors; with `--json` not even those, since the result "
                + "carries them."
        ])
    static let verbose = OptionEntry(
        "verbose", short: "v", repeats: true, heading: .general, summary: "say more; twice says still more",
        paragraphs: [
            "Say more on standard error: where settings come from, every attempt to connect. Twice says still more."
        ])
    static let version = OptionEntry(
        "version", heading: .general, summary: "show the version",
        paragraphs: ["Show the version on standard output and exit 0."])

    static let ephemeral = OptionEntry(
        "ephemeral", heading: .identity, variable: "DEP2P_EPHEMERAL",
        summary: "use a new identity and forget it afterwards",
        paragraphs: [
            "Use an identity made for this run alone, and write it nowhere, nor what is learned of other nodes meanwhile."
        ])
    static let identity = OptionEntry(
        "identity", value: .file, heading: .identity, variable: "DEP2P_IDENTITY_FILE",
        summary: "the identity file (made on first use at the usual place)",
        paragraphs: [
            "Use the identity in FILE (PKCS#8 PEM, as `dep2p keygen` makes it). Without this option the identity in the "
                + "data folder is used, and made there on first use. See FILES."
        ])
    static let passphraseFile = OptionEntry(
        "passphrase-file", value: .file, heading: .identity, variable: "DEP2P_PASSPHRASE_FILE",
        summary: "the identity's passphrase is the first line of FILE",
        paragraphs: [
            "The identity is encrypted, and the first line of FILE is its passphrase; `-` is standard input."
        ])
    static let realmKey = OptionEntry(
        "realm-key", value: .file, heading: .identity, variable: "DEP2P_REALM_KEY_FILE",
        summary: "the file with the realm key; - is standard input",
        paragraphs: [
            "Join the realm whose key (64 hexadecimal digits, as `dep2p realm-key` makes it) is in FILE, or on standard "
                + "input for `-`. The file must be readable by its owner alone. The key itself is never an argument."
        ])

    static let bootstrap = OptionEntry(
        "bootstrap", value: .peer, repeats: true, heading: .network, variable: "DEP2P_BOOTSTRAP",
        summary: "address of a node to find others by, ending in /p2p/NODEID",
        paragraphs: [
            "The address of a bootstrap node, as `dep2p start --bootstrap-server` prints it: by it others are found in the "
                + "distributed hash table (DHT) by their NodeID alone, and this node by them. Each relay of `--relay` is one "
                + "too, and nodes that earlier runs have found useful are asked before them. Can be given repeatedly."
        ])
    static let listen = OptionEntry(
        "listen", value: .address, repeats: true, heading: .network, variable: "DEP2P_LISTEN",
        summary: "address to listen on: HOST:PORT or a multiaddr",
        paragraphs: [
            "Listen on this address: `HOST:PORT`, `[IPV6]:PORT`, `:PORT` for both families, or a multiaddr such as "
                + "`/ip4/0.0.0.0/udp/4001/quic-v1`. The default is both families and a free port. Can be given repeatedly."
        ])
    static let mainline = OptionEntry(
        "mainline", heading: .network, variable: "DEP2P_MAINLINE",
        summary: "meet the realm's members in the BitTorrent DHT too",
        paragraphs: [
            "Publish the records by which members of the realm find this node in the BitTorrent DHT (Mainline) too, and look for "
                + "others there: with nothing but the realm key and a NodeID, and no server of anybody's. The records are sealed, "
                + "so its nodes learn neither the realm, nor NodeIDs, nor the addresses in them; they do see the IP address "
                + "that asks. This node answers nobody there, and keeps nothing for others."
        ])
    static let mainlineNode = OptionEntry(
        "mainline-node", value: .hostPort, repeats: true, heading: .network, variable: "DEP2P_MAINLINE_NODE",
        summary: "HOST:PORT of a node of the BitTorrent DHT to begin with",
        paragraphs: [
            "With `--mainline`, begin with this node of the BitTorrent DHT, `HOST:PORT` or `[IPV6]:PORT`, instead of "
                + "router.bittorrent.com:6881, dht.transmissionbt.com:6881 and router.utorrent.com:6881. Nodes that answered "
                + "in earlier runs are asked before it. Can be given repeatedly."
        ])
    static let noDHT = OptionEntry(
        "no-dht", heading: .network, variable: "DEP2P_NO_DHT",
        summary: "do not look for nodes in the DHT",
        paragraphs: [
            "Do not look for nodes in the distributed hash table, do not be found there, and do not serve it. Otherwise a node "
                + "that stays up is found there by others with a bootstrap node of the same network, and serves it once it has "
                + "been publicly reachable for ten minutes."
        ])
    static let noDirect = OptionEntry(
        "no-direct", heading: .network, variable: "DEP2P_NO_DIRECT", summary: "do not connect directly",
        paragraphs: [
            "Leave out direct paths: others are reached through relays only, and told of no other way to this node."
        ])
    static let noMDNS = OptionEntry(
        "no-mdns", heading: .network, variable: "DEP2P_NO_MDNS",
        summary: "do not look for nodes on the local network",
        paragraphs: [
            "Do not look for nodes on this machine's networks by Multicast DNS, and do not be found there. Otherwise who is "
                + "there is found by the NodeID alone; commands that only go out to others let nobody find them."
        ])
    static let noPortMapping = OptionEntry(
        "no-port-mapping", heading: .network, variable: "DEP2P_NO_PORT_MAPPING",
        summary: "do not ask the router to open a port",
        paragraphs: [
            "Do not ask the router to open this node's port. Otherwise it is asked by PCP, NAT-PMP or UPnP, unless the "
                + "preset is `minimal` or `server`, and the port is closed again at the end."
        ])
    static let noRelay = OptionEntry(
        "no-relay", heading: .network, variable: "DEP2P_NO_RELAY", summary: "do not connect through relays",
        paragraphs: ["Leave out paths through relays, those given by `--relay` too."])
    static let peer = OptionEntry(
        "peer", value: .peer, repeats: true, heading: .network, variable: "DEP2P_PEER",
        summary: "address of a known peer, ending in /p2p/NODEID",
        paragraphs: [
            "The address of a known peer, as a multiaddr that ends in `/p2p/NODEID`. A target that is given as a bare "
                + "NodeID is looked up among these. Can be given repeatedly."
        ])
    static let preset = OptionEntry(
        "preset", value: .choice("NAME", ["desktop", "minimal", "mobile", "server"]), heading: .network,
        variable: "DEP2P_PRESET", summary: "limits for a kind of machine (default desktop)",
        paragraphs: [
            "Limits for a kind of machine: `minimal`, `mobile`, `desktop` (the default) or `server`. Every other setting "
                + "takes precedence."
        ])
    static let relay = OptionEntry(
        "relay", value: .peer, repeats: true, heading: .network, variable: "DEP2P_RELAY",
        summary: "address of a relay, ending in /p2p/NODEID",
        paragraphs: [
            "The address of a relay, as `dep2p relay` prints it. A node that listens is reachable through it too, and a "
                + "peer that no direct address reaches is looked for there. Relays see neither content nor can they change "
                + "it. Can be given repeatedly."
        ])
    static let showNodeID = OptionEntry(
        "show-node-id", value: .choice("WHEN", ["always", "never", "outside-realms"]), heading: .network,
        variable: "DEP2P_SHOW_NODE_ID", summary: "when the local network sees the NodeID (default outside-realms)",
        paragraphs: [
            "When whoever listens on this machine's networks sees this node's NodeID beside its addresses: `always`, `never`, "
                + "or `outside-realms` (the default), which is without a realm key. Members of the realm who know the "
                + "NodeID find the node there in any case."
        ])
    static let stateDir = OptionEntry(
        "state-dir", value: .directory, heading: .network, variable: "DEP2P_STATE_DIR",
        summary: "folder for what the node remembers",
        paragraphs: [
            "Keep what the node remembers between runs in DIR. See FILES for the default. Where it cannot be kept the "
                + "node goes on without, and says so."
        ])
    static let timeout = OptionEntry(
        "timeout", value: .duration, heading: .network, variable: "DEP2P_TIMEOUT",
        summary: "how long to wait for the other side (0: for ever)",
        paragraphs: [
            "How long to wait for the other side: `500ms`, `30s`, `5m` or `2h`. `0` waits for ever. The time passed ends "
                + "the command with status 75."
        ])
}
