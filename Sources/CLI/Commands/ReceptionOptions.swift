extension OptionEntry {
    static let receptionAllow = OptionEntry(
        "allow", value: .nodeID, repeats: true, variable: "DEP2P_ALLOW",
        summary: "receive from this node only; can be given repeatedly",
        paragraphs: ["Receive from this node and those of further `--allow` only. Every other member is refused."])
    static let receptionMaxSize = OptionEntry(
        "max-size", value: .size, variable: "DEP2P_MAX_SIZE", summary: "refuse what is larger, as in 10MiB",
        paragraphs: [
            "Refuse a transfer of more than SIZE bytes: a number with nothing or B, kB, MB, GB, TB (1000s) or KiB, MiB, GiB, "
                + "TiB (1024s)."
        ])
    static let receptionReply = OptionEntry(
        "reply", value: .text, variable: "DEP2P_REPLY", summary: "answer every message with TEXT",
        paragraphs: ["Answer every message with TEXT."])
    static let receptionTransfers = OptionEntry(
        "transfers", value: .count, variable: "DEP2P_TRANSFERS",
        summary: "receive so many transfers at once (16); others wait",
        paragraphs: [
            "Receive so many transfers at once; the default is the preset's, 16. A sender has at most half of them. The "
                + "others wait for their turn. To standard output it is always one."
        ])
}

extension CommandEntry {
    /// What a node that is there to be reached tells of its ways in.
    static let reachabilityEvents: [Term] = [
        .init(
            "port_mapping",
            "A router has opened a port: `protocol` (`pcp`, `nat_pmp` or `upnp`), `port` and `address`, `null` when it "
                + "did not tell; all are `null` when it is closed."),
        .init("addresses", "This machine's network has changed: the `addresses` as they are now."),
        .init(
            "reachability",
            "What nodes that dialled back have found: `state` (`public`, `private` or `unknown`), and the `addresses` "
                + "as they are now."),
        .init(
            "relay",
            "A reservation with a relay: `relay`, its address, `state` (`reserved`, `refused` or `lost`) and, when "
                + "refused, `reason`; a refusal for the same reason is told once."),
    ]

    /// What a node that receives tells, in the order in which it happens.
    static let receptionEvents: [Term] = [
        .init(
            "offer",
            "A transfer begins: `transfer`, a number that all its events carry, `from`, `name`, `files`, `bytes`, "
                + "`accepted` and, if not, `reason`."),
        .init("progress", "At most twice a second: `transfer`, `from`, `bytes`, `total`, `rate`."),
        .init("file", "A file is complete: `transfer`, `from`, `path`, `bytes`, `root`."),
        .init(
            "transfer",
            "A transfer that was accepted has ended: `transfer`, `from`, `ok`, `code`, `message`, and `files` and "
                + "`bytes` when it came to its end."),
        .init("path", "The path to a member has changed: `from`, `path` as for `dep2p send`."),
        .init("message", "`from`, `protocol`, and `text`, or `base64` when it is not UTF-8."),
    ]
}
