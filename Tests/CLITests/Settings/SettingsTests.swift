import DeP2P
import DeP2PIdentity
import Testing

@testable import DeP2PCLI

@Suite struct SettingsTests {
    private func options(
        _ words: [String], _ variables: [String: String] = [:], _ file: String? = nil, _ second: String? = nil
    ) throws -> ResolvedOptions {
        guard case .run(let invocation) = ArgumentParser.parse(words.map { Argument($0) }) else {
            throw Sandbox.Failure(message: "not taken: \(words)")
        }
        let files = try [file, second].compactMap(\.self).enumerated().map { index, text in
            try ConfigurationFile(
                path: Array("/file\(index)".utf8), content: Array(text.utf8), keys: .init(CommandTable.settings))
        }
        return try ResolvedOptions(invocation, environment: Environment(variables), files: files)
    }

    private func plan(
        _ words: [String], _ variables: [String: String] = [:], _ file: String? = nil, _ second: String? = nil
    ) throws -> NodePlan {
        let options = try options(["ping", "host:1"] + words, variables, file, second)
        return try NodePlan(options, defaultTimeout: .seconds(9))
    }

    @Test func commandLineThenVariableThenFilesThenDefault() throws {
        let (file, second) = ("timeout = 3s\n", "timeout = 4s\npreset = server\n")
        let variables = ["DEP2P_TIMEOUT": "2s"]
        #expect(try plan(["--timeout", "1s"], variables, file, second).timeout == .seconds(1))
        #expect(try plan([], variables, file, second).timeout == .seconds(2))
        #expect(try plan([], [:], file, second).timeout == .seconds(3))
        #expect(try plan([], [:], file, second).preset == "server")
        #expect(try plan([]).timeout == .seconds(9))
        #expect(try plan(["--timeout", "0"]).timeout == nil)
        #expect(try plan([], ["DEP2P_TIMEOUT": ""]).timeout == .seconds(9))
    }

    @Test func whereAValueComesFromIsKnown() throws {
        let options = try options(["ping", "h:1", "-v"], ["DEP2P_PRESET": "mobile"], "\n# x\nno-relay = yes\r\n")
        #expect(options.source(.verbose) == .commandLine)
        #expect(options.source(.preset)?.description == "DEP2P_PRESET")
        #expect(options.source(.noRelay)?.description == "/file0:3")
        #expect(options.source(.timeout) == nil)
    }

    @Test func switchesSayYesOrNo() throws {
        #expect(try plan([], [:], "no-relay = true\n").usesRelay == false)
        #expect(try plan([], ["DEP2P_NO_RELAY": "off"], "no-relay = true\n").usesRelay)
        #expect(try plan([], [:], "no-relay = no\n").usesRelay)
        #expect(throws: CLIError.self) { try plan([], ["DEP2P_NO_RELAY": "2"]) }
    }

    /// Nobody has said anything: the preset has.
    @Test func relayingForTheRealmIsThePresetsUnlessSomebodySays() throws {
        func relays(_ arguments: [String], _ variables: [String: String] = [:], _ file: String = "") throws -> Bool? {
            try StartPlan(try options(["start"] + arguments, variables, file)).relaysForRealm
        }
        #expect(try relays(["--preset", "server"]) == nil)
        #expect(try relays(["--realm-relay"], [:], "realm-relay = no\n") == true)
        #expect(try relays(["--preset", "server"], [:], "realm-relay = no\n") == false)
        #expect(try relays([], ["DEP2P_REALM_RELAY": "yes"]) == true)
        #expect(Preset.all.filter(\.relaysForRealm).map(\.name) == ["server"])
    }

    @Test func theLocalNetworkIsUsedUnlessSomebodySaysNo() throws {
        #expect(try plan([]).usesMDNS && plan([]).showsNodeID == .outsideRealms)
        #expect(try plan([], ["DEP2P_NO_MDNS": "1"]).usesMDNS == false)
        #expect(try plan(["--no-mdns"]).usesMDNS == false)
    }

    @Test func listsComeFromRepeatedLinesAndCommas() throws {
        let ports: (NodePlan) -> [ListenAddress] = { $0.listen }
        let expected: [ListenAddress] = [.anyHost(port: 1), .anyHost(port: 2)]
        #expect(try ports(plan(["--listen", ":1", "--listen", ":2"])) == expected)
        #expect(try ports(plan([], ["DEP2P_LISTEN": ":1,:2"])) == expected)
        #expect(try ports(plan([], [:], "listen = :1\nlisten=:2\n", "listen = :3\n")) == expected)
        #expect(try ports(plan(["--listen", ":1"], ["DEP2P_LISTEN": ":2"])) == [.anyHost(port: 1)])
    }

    @Test func aWrongSettingIsAConfigurationErrorAndAWrongOptionIsNot() throws {
        #expect(code { _ = try plan([], ["DEP2P_PEER": "x"]) } == .configuration)
        #expect(code { _ = try plan([], [:], "peer = x\n") } == .configuration)
        #expect(code { _ = try plan(["--peer", "x"]) } == .badAddress)
        #expect(code { _ = try plan(["--preset", "x"]) } == .badValue)
    }

    @Test func theNearestOfIdentityAndEphemeralWins() throws {
        let file = Array("/k".utf8)
        #expect(try plan(["--ephemeral"], ["DEP2P_IDENTITY_FILE": "/k"]).identity == .ephemeral)
        #expect(try plan(["--identity", "/k"], ["DEP2P_EPHEMERAL": "1"]).identity == .file(file))
        #expect(try plan([], ["DEP2P_EPHEMERAL": "1"], "identity = /k\n").identity == .ephemeral)
        #expect(code { _ = try plan(["--ephemeral", "--identity", "/k"]) } == .usage)
        #expect(try plan([], ["HOME": "/h"]).identity == .standard([Array("/h/.local/share/dep2p/identity.pem".utf8)]))
        #expect(try plan(["--realm-key", "-"]).realmKey == .standardInput)
    }

    @Test func standardPathsFollowXDGAndSystemd() {
        func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }
        let plain = StandardPaths(Environment(["HOME": "/h", "XDG_DATA_HOME": "relative", "XDG_STATE_HOME": ""]))
        #expect(text(plain.data) == "/h/.local/share/dep2p")
        #expect(text(plain.state) == "/h/.local/state/dep2p")
        #expect(plain.configurations.map { text($0) } == ["/h/.config/dep2p/config", "/etc/dep2p/config"])
        let service = StandardPaths(
            Environment([
                "XDG_DATA_HOME": "/d/", "STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "CREDENTIALS_DIRECTORY": "/run/c",
            ]))
        #expect(service.realmKeyFiles.map { text($0) } == ["/run/c/realm.key", "/d/dep2p/realm.key"])
        #expect(text(service.state) == "/var/lib/a")
        let homeless = StandardPaths(Environment([String: String]()))
        #expect(homeless.data == nil && homeless.identityFiles.isEmpty)
    }

    @Test func aConfigurationFileSaysWhatIsWrongWhere() {
        func message(_ text: [UInt8]) -> String {
            do throws(CLIError) {
                _ = try ConfigurationFile(path: [0x66, 0x1b], content: text, keys: .init([.listen, .noRelay]))
                return ""
            } catch {
                return error.message
            }
        }
        #expect(message(Array("\n \t\n#x\n".utf8)) == "")
        #expect(message(Array("listen=1\n\nfoo=2".utf8)) == "f\\u{1b}:3: unknown key 'foo'")
        #expect(message(Array("listen".utf8)) == "f\\u{1b}:1: no = on the line")
        #expect(message(Array("listen = \t".utf8)) == "f\\u{1b}:1: listen has no value")
        #expect(message([0xff, 0x3d, 0x31]).hasPrefix("f\\u{1b}:1: unknown key"))
    }

    @Test func whatNoEditorMeansIsRefusedAndWhatEditorsAddIsNot() throws {
        func lines(_ text: [UInt8]) throws -> [String] {
            try ConfigurationFile(path: [0x66], content: text, keys: .init([.listen, .preset])).lines.map { line in
                "\(line.number) \(line.key) \(line.value.text ?? "")"
            }
        }
        let mark: [UInt8] = [0xef, 0xbb, 0xbf]
        #expect(
            try lines(mark + Array("preset = x\r\nlisten = :1\r\nlisten = :2".utf8)) == [
                "1 preset x", "2 listen :1", "3 listen :2",
            ])
        #expect(try lines(Array("name.a = x\n".utf8)) == ["1 name.a x"])
        for text in [
            "preset = a\0b", "preset = a\rb", "preset = \u{1b}[2J", "preset = \u{7f}", "preset = a\npreset = b",
        ] {
            #expect(code { _ = try lines(Array(text.utf8)) } == .configuration, "\(text.debugDescription)")
        }
        #expect(code { _ = try lines([0xff, 0xfe, 0x70, 0x00]) } == .configuration)
        #expect(code { _ = try lines([0xfe, 0xff, 0x00, 0x70]) } == .configuration)
    }

    @Test func aValueThatIsWrongIsToldWithItsOwnLine() throws {
        let file = "peer = x\npeer = /ip4/192.0.2.7/udp/1/quic-v1/p2p/\(IdentityKey.generate().nodeID)\n"
        do {
            _ = try plan([], [:], file)
            Issue.record("taken")
        } catch let error as CLIError {
            #expect(error.message.hasPrefix("/file0:1: peer"), "\(error.message)")
        }
    }

    @Test func everySettingIsShownWithWhereItComesFrom() throws {
        let file = "preset = minimal\nname.b = 192.0.2.7:1\npeer = b\n"
        let resolved = try options(
            ["start", "--listen", ":5", "--listen", ":6"], ["DEP2P_NO_RELAY": "yes", "DEP2P_ALLOW": "x", "HOME": "/h"],
            file)
        let rows = EffectiveSettings(resolved, preset: .minimal).rows
        func shown(_ name: String) -> [String] {
            rows.filter { $0.name == name }.map { "\($0.value?.text ?? "-") \($0.origin.description)" }
        }
        #expect(shown("listen") == [":5 the command line", ":6 the command line"])
        #expect(shown("no-relay") == ["true DEP2P_NO_RELAY"])
        #expect(shown("no-direct") == ["false default"])
        #expect(shown("preset") == ["minimal /file0:1"])
        #expect(shown("transfers") == ["16 the preset minimal"])
        #expect(shown("no-port-mapping") == ["true the preset minimal"])
        #expect(shown("identity") == ["/h/.local/share/dep2p/identity.pem default"])
        #expect(shown("relay") == ["- default"])
        #expect(shown("name.b") == ["192.0.2.7:1 /file0:2"])
        let wanted = Set(CommandEntry.start.allOptions.filter(\.isSetting).map(\.long))
        #expect(Set(rows.map(\.name)).subtracting(["name.b"]) == wanted)
    }

    @Test func whatDiffersIsFound() throws {
        let first = try options(["start"], [:], "preset = minimal\nno-relay = no\n")
        #expect(first.settingsThatDiffer(from: first).isEmpty)
        #expect(first.settingsThatDiffer(from: try options(["start", "--preset", "minimal"])).isEmpty)
        let second = try options(["start"], ["DEP2P_ALLOW": "a,b"], "preset = server\nno-relay = yes\n")
        #expect(Set(first.settingsThatDiffer(from: second).map(\.long)) == ["preset", "no-relay", "allow"])
    }

    @Test func aConfigurationValueKeepsItsBytes() throws {
        let file = try ConfigurationFile(
            path: [], content: Array("listen = a = b ".utf8) + [0xff, 0x20], keys: .init([.listen]))
        #expect(file.lines == [.init(number: 1, key: "listen", value: Argument(bytes: Array("a = b ".utf8) + [0xff]))])
    }

    private func code(_ body: () throws -> Void) -> CLIError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? CLIError)?.code
        }
    }
}
