import DeP2P
import DeP2PIdentity
import Testing

@testable import DeP2PCLI

@Suite struct PlanTests {
    private static let node = IdentityKey.generate().nodeID
    private static let address = "/ip4/192.0.2.7/udp/4001/quic-v1/p2p/\(node)"

    private func options(_ words: [String]) throws -> ResolvedOptions {
        guard case .run(let invocation) = ArgumentParser.parse(words.map { Argument($0) }) else {
            throw Sandbox.Failure(message: "not taken: \(words)")
        }
        return try ResolvedOptions(invocation, environment: Environment(["HOME": "/h"]))
    }

    private func send(_ words: String...) throws -> SendPlan {
        try SendPlan(options(["send", "--to", Self.address] + words))
    }

    @Test func sendTakesOneKindOfThing() throws {
        #expect(try send("a", "b/").payload == .paths([Array("a".utf8), Array("b/".utf8)]))
        #expect(try send("-m", "hi").payload == .message(Array("hi".utf8)))
        #expect(try send("-").payload == .standardInput)
        #expect(try send("--", "-m").payload == .paths([Array("-m".utf8)]))
        #expect(try send("./-").payload == .paths([Array("./-".utf8)]))
        for words in [["-", "a"], ["-m", "x", "a"], [], [""]] {
            #expect(throws: CLIError.self) { try SendPlan(options(["send", "--to", Self.address] + words)) }
        }
    }

    @Test func sendNeedsToKnowWhom() throws {
        #expect(try send("a").target.nodeID == Self.node)
        #expect(try SendPlan(options(["send", "--to", "\(Self.node)", "a"])).target == .nodeID(Self.node))
        #expect(throws: CLIError.self) { try SendPlan(options(["send", "--to", "192.0.2.7:1", "a"])) }
        #expect(throws: CLIError.self) { try SendPlan(options(["send", "a"])) }
        #expect(try send("a").node.timeout == SendPlan.defaultTimeout)
    }

    @Test func listenKnowsWhereThingsGo() throws {
        func destination(_ words: String...) throws -> ReceptionPlan.Destination {
            try ListenPlan(options(["listen"] + words)).reception.destination
        }
        #expect(try destination() == .nowhere)
        #expect(try destination("-o", "inbox") == .directory(Array("inbox".utf8)))
        #expect(try destination("--stdout") == .standardOutput(named: false))
        #expect(try destination("-o", "-") == .standardOutput(named: true))
        for words in [["--stdout", "-o", "x"], ["--stdout", "--json"], ["-o", "-", "--json"]] {
            #expect(throws: CLIError.self) { try ListenPlan(options(["listen"] + words)) }
        }
        let plan = try ListenPlan(
            options(["listen", "--allow", "\(Self.node)", "--max-size", "1KiB", "--reply", "ok", "--transfers", "3"]))
        #expect(plan.access == .only([Self.node]))
        #expect(plan.reception.maximumBytes == 1024)
        #expect(plan.reception.transfers == 3)
        #expect(plan.reception.reply == Array("ok".utf8))
        #expect(plan.node.timeout == nil)
    }

    @Test func startReceivesIntoAFolderOrNotAtAll() throws {
        func plan(_ words: String...) throws -> StartPlan { try StartPlan(options(["start"] + words)) }
        #expect(try plan().reception == nil)
        #expect(try plan("--allow", "\(Self.node)").access == .only([Self.node]))
        let receiving = try plan("-o", "inbox", "--max-size", "1KiB", "--transfers", "2", "--reply", "ok").reception
        #expect(receiving?.destination == .directory(Array("inbox".utf8)))
        #expect(receiving?.once == false && receiving?.maximumBytes == 1024 && receiving?.transfers == 2)
        for words in [
            ["-o", "-"], ["--max-size", "1"], ["--reply", "x"], ["--transfers", "1"], ["--timeout", "1s"],
        ] {
            #expect(throws: CLIError.self) {
                guard case .run(let invocation) = ArgumentParser.parse((["start"] + words).map { Argument($0) }) else {
                    throw CLIError(.usage, "not taken")
                }
                _ = try StartPlan(try ResolvedOptions(invocation, environment: Environment([String: String]())))
            }
        }
    }

    @Test func startTakesWatermarksOfItsOwn() throws {
        func marks(_ words: String...) throws -> (low: Int, high: Int) {
            let plan = try StartPlan(options(["start"] + words))
            var preset = try #require(Preset.named(plan.node.preset))
            plan.watermarks.apply(to: &preset)
            return (preset.lowWatermark, preset.highWatermark)
        }
        #expect(try marks() == (100, 400))
        #expect(try marks("--high-watermark", "1000") == (100, 1_000))
        #expect(try marks("--high-watermark", "40") == (10, 40))
        #expect(try marks("--high-watermark", "1") == (1, 1))
        #expect(try marks("--preset", "server", "--low-watermark", "2000") == (2_000, 2_000))
        #expect(try marks("--low-watermark", "7", "--high-watermark", "9") == (7, 9))
        #expect(throws: CLIError.self) { try marks("--low-watermark", "401") }
        #expect(throws: CLIError.self) { try marks("--low-watermark", "10", "--high-watermark", "9") }
        #expect(throws: CLIError.self) { try marks("--high-watermark", "0") }
    }

    @Test func pingEndsUnlessItWaitsForADirectPath() throws {
        func plan(_ words: String...) throws -> PingPlan { try PingPlan(options(["ping", "host:1"] + words)) }
        #expect(try plan().count == 4)
        #expect(try plan("--until-direct").count == nil)
        #expect(try plan("--until-direct", "-c", "9").count == 9)
        #expect(try plan("-i200ms").interval == .milliseconds(200))
        #expect(throws: CLIError.self) { try plan("other") }
    }

    @Test func keygenWritesOrShows() throws {
        func action(_ words: String...) throws -> KeygenPlan.Action {
            try KeygenPlan(options(["keygen"] + words)).action
        }
        #expect(try action() == .make(.standardOutput(named: false), replace: false))
        #expect(try action("-o", "-") == .make(.standardOutput(named: true), replace: false))
        #expect(try action("-fo", "f") == .make(.file(Array("f".utf8)), replace: true))
        #expect(try action("--show", "f") == .show(Array("f".utf8)))
        #expect(throws: CLIError.self) { try action("--show", "f", "--force") }
    }

    @Test func aSecretIsNotShownToATerminalUnasked() throws {
        let terminal = OutputTests.Recorder().sink(isTerminal: true)
        let output = Output(.init(), standardOutput: terminal, standardError: terminal)
        #expect(throws: CLIError.self) {
            try KeyDestination.standardOutput(named: false).check(output, what: "the identity")
        }
        try KeyDestination.standardOutput(named: true).check(output, what: "the identity")
    }

    @Test func dhtFindBeginsWithBootstrapNodesRelaysAndPeers() throws {
        func plan(_ words: String...) throws -> DHTFindPlan { try DHTFindPlan(options(["dht-find"] + words)) }
        let address = try Address(Self.address)
        let name = try #require(address.nodeID).description
        let plain = try plan(name)
        #expect(
            plain.wanted == .node(try #require(address.nodeID)) && plain.protocolID == nil
                && plain.node.dhtEntrances.isEmpty)
        #expect(plain.node.timeout == DHTFindPlan.defaultTimeout)
        let full = try plan(
            "--bootstrap", Self.address, "--relay", Self.address, "--peer", Self.address, "--dht-protocol", "/x/kad",
            name)
        #expect(full.node.dhtEntrances == [address, address, address] && full.protocolID == "/x/kad")
        let (cid, key) = (
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi", String(repeating: "0a", count: 34)
        )
        let content = try #require(CID(cid))
        #expect(try plan("--providers", cid, "--dht-protocol", "/x/kad").wanted == .providers(content))
        #expect(try plan("--record", key).wanted == .record([UInt8](repeating: 0x0a, count: 34)))
        for words in [
            [], [name, name], ["--no-dht", name], ["--record", "12"], ["--providers", "x"], ["--providers", cid, name],
            ["--record", key, "--providers", cid], ["--record", key, "--dht-protocol", "/x/kad"],
            ["--dht-protocol", "kad", name], ["--bootstrap", "h:1", name],
        ] {
            #expect(throws: CLIError.self) { try DHTFindPlan(options(["dht-find"] + words)) }
        }
    }

    @Test func mainlineIsSpokenOnlyWhereItIsWanted() throws {
        func plan(_ words: String...) throws -> NodePlan { try StartPlan(options(["start"] + words)).node }
        #expect(try !plan().usesMainline && plan().mainlineNodes.isEmpty)
        let given = try plan("--mainline", "--mainline-node", "router.example:6881", "--mainline-node=[::1]:7000")
        #expect(given.usesMainline && given.mainlineNodes == ["router.example:6881", "[::1]:7000"])
        // Named and not switched on, it is not used.
        #expect(try !plan("--mainline-node", "router.example:6881").usesMainline)
        for text in ["router.example", ":6881", "router.example:0", "router.example:65536", "::1:7000", "a b:1"] {
            #expect(throws: CLIError.self) { try plan("--mainline", "--mainline-node", text) }
        }
    }

    @Test func natCheckAsksTheServersOrElseTheRelaysAndPeers() throws {
        func plan(_ words: String...) throws -> NATCheckPlan { try NATCheckPlan(options(["nat-check"] + words)) }
        let relay = try Address(Self.address)
        #expect(try plan().servers.isEmpty)
        #expect(try plan().timeout == NATCheckPlan.defaultTimeout)
        #expect(try plan("--peer", Self.address, "--relay", Self.address).servers == [relay, relay])
        let named = try plan("--relay", Self.address, "--server", "192.0.2.9:3478", "--timeout", "0")
        #expect(named.servers == [try Address("/ip4/192.0.2.9/udp/3478/quic-v1")])
        #expect(named.timeout == nil)
        #expect(throws: CLIError.self) { try plan("--server", "192.0.2.9") }
    }
}
