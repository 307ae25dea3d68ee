import DeP2PSimulation
import Testing

@testable import DeP2PCLI

@Suite struct ArgumentParserTests {
    private func parse(_ words: String...) -> ParsedCommandLine { ArgumentParser.parse(words.map { Argument($0) }) }

    private func invocation(_ words: String...) throws -> Invocation {
        guard case .run(let invocation) = ArgumentParser.parse(words.map { Argument($0) }) else {
            throw Sandbox.Failure(message: "not taken as a command: \(words)")
        }
        return invocation
    }

    private func failure(_ words: String...) throws -> CLIError {
        guard case .failure(let error, _) = ArgumentParser.parse(words.map { Argument($0) }) else {
            throw Sandbox.Failure(message: "taken: \(words)")
        }
        return error
    }

    @Test(arguments: [
        ["-o", "x"], ["-ox"], ["--output", "x"], ["--output=x"], ["-qox"], ["-qo", "x"],
    ])
    func anOptionTakesItsValueInEveryForm(_ form: [String]) throws {
        guard case .run(let invocation) = ArgumentParser.parse((["keygen"] + form).map { Argument($0) }) else {
            Issue.record("not taken: \(form)")
            return
        }
        #expect(invocation.given["output"] == [Argument("x")])
    }

    @Test func aValueMayLookLikeAnOption() throws {
        #expect(try invocation("send", "--to", "x", "-m", "--json").given["message"] == [Argument("--json")])
        #expect(try invocation("send", "--to=--x=y", "f").given["to"] == [Argument("--x=y")])
        #expect(try invocation("send", "-m", "-").given["message"] == [Argument("-")])
    }

    @Test func commonOptionsStandBeforeAndAfterTheCommand() throws {
        let invocation = try invocation("--json", "-v", "ping", "-v", "host:1", "--timeout", "5s")
        #expect(invocation.given["json"]?.count == 1)
        #expect(invocation.given["verbose"]?.count == 2)
        #expect(invocation.given["timeout"] == [Argument("5s")])
        #expect(invocation.operands == [Argument("host:1")])
    }

    @Test func twoDashesEndTheOptionsAndALoneDashIsAnOperand() throws {
        let invocation = try invocation("send", "--to", "x", "--", "-m", "--", "-")
        #expect(invocation.operands == [Argument("-m"), Argument("--"), Argument("-")])
        #expect(try self.invocation("send", "--to", "x", "-").operands == [Argument("-")])
    }

    @Test func bytesThatAreNotTextSurvive() {
        let name = Argument(bytes: [0x66, 0xff, 0xfe, 0x2f, 0x80])
        let output = Argument(bytes: Array("--output=".utf8) + name.bytes)
        guard case .run(let invocation) = ArgumentParser.parse([Argument("listen"), output]) else {
            Issue.record("not taken")
            return
        }
        #expect(invocation.given["output"] == [name])
        guard case .run(let send) = ArgumentParser.parse([Argument("send"), name]) else {
            Issue.record("not taken")
            return
        }
        #expect(send.operands == [name])
    }

    @Test func theLastOfAnOptionThatDoesNotRepeatCounts() throws {
        let invocation = try invocation("keygen", "-o", "a", "-o", "b")
        let options = try ResolvedOptions(invocation, environment: Environment([String: String]()))
        #expect(options.path(.keygenOutput) == Array("b".utf8))
    }

    @Test func thereAreNoAbbreviations() throws {
        let error = try failure("send", "--mess", "x")
        #expect(error.code == .usage)
        #expect(error.hint == "did you mean --message?")
        #expect(try failure("sen").hint == "did you mean send?")
        #expect(try failure("lsiten").hint == "did you mean listen?")
        #expect(try failure("xyzzy").hint == nil)
    }

    @Test func whatIsMissingOrEmptyOrTooMuchIsSaid() throws {
        #expect(try failure("send", "--to").message == "--to needs a value: TARGET")
        #expect(try failure("send", "--to=").message == "--to has an empty value: it needs TARGET")
        #expect(try failure("send", "-m", "").message == "-m has an empty value: it needs TEXT")
        #expect(try failure("keygen", "--json=yes").message == "--json takes no value")
        #expect(try failure("keygen", "file").message == "keygen takes no operand: 'file'")
        #expect(try failure("--json").message == "no command given")
    }

    @Test func anOptionInTheWrongPlaceIsExplained() throws {
        #expect(try failure("keygen", "--to", "x").message == "keygen takes no --to")
        #expect(try failure("keygen", "-m", "x").message == "keygen takes no -m")
        #expect(try failure("--to", "x", "send").hint == "write dep2p send --to")
        #expect(try failure("-m", "x", "send").message == "-m stands before the command")
        #expect(try failure("keygen", "-Z").message == "unknown option -Z")
    }

    @Test(arguments: [
        ["send", "-h"], ["send", "--bogus", "-h"], ["--bogus", "send", "--help"], ["send", "--to", "--help", "-h"],
        ["send", "-qh"], ["help", "send"], ["-h", "send", "--bogus"], ["send", "--to=", "--help"],
        ["send", "--version", "-h"],
    ])
    func helpWinsOverEverything(_ words: [String]) {
        guard case .help(let command) = ArgumentParser.parse(words.map { Argument($0) }) else {
            Issue.record("no help for \(words)")
            return
        }
        #expect(command?.name == "send")
    }

    @Test func helpThatIsAValueOrAnOperandIsNone() throws {
        #expect(try invocation("send", "-m", "-h").given["message"] == [Argument("-h")])
        #expect(try invocation("send", "--", "-h").operands == [Argument("-h")])
        guard case .failure = parse("send", "--bogus", "--", "-h") else {
            Issue.record("took an operand for help")
            return
        }
    }

    @Test func versionWinsOverErrors() {
        guard case .version = parse("--bogus", "--version") else {
            Issue.record("no version")
            return
        }
    }

    @Test func randomLinesNeverTrap() {
        var generator = SplitMix64(seed: 7)
        let pieces = [
            "-", "--", "-o", "-ox", "--to", "--to=", "send", "help", "-h", "", "\u{fffd}", "-qvf", "--=", "=", "-é",
        ]
        for _ in 0..<2000 {
            let words = (0..<Int.random(in: 0...6, using: &generator)).map { _ -> Argument in
                let index = Int.random(in: 0...pieces.count, using: &generator)
                guard index < pieces.count else {
                    return Argument(bytes: (0..<5).map { _ in UInt8.random(in: 1...255, using: &generator) })
                }
                return Argument(pieces[index])
            }
            _ = ArgumentParser.parse(words)
        }
    }
}
