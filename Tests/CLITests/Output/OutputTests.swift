import Glibc
import Synchronization
import Testing

@testable import CLI

@Suite struct OutputTests {
    /// What was written, and the `errno` that writing gives.
    final class Recorder: Sendable {
        private let bytes = Mutex<[UInt8]>([])
        private let failure: Int32?
        init(failure: Int32? = nil) { self.failure = failure }
        var text: String { String(decoding: bytes.withLock { $0 }, as: UTF8.self) }
        func sink(isTerminal: Bool = false) -> Output.Sink {
            Output.Sink(
                write: { [self] more in
                    if let failure { return failure }
                    bytes.withLock { $0 += more }
                    return nil
                }, isTerminal: isTerminal, columns: { isTerminal ? 40 : nil })
        }
    }

    private func output(
        _ style: Output.Style, _ out: Recorder, _ error: Recorder, isTerminal: Bool = false
    ) -> Output {
        Output(style, standardOutput: out.sink(), standardError: error.sink(isTerminal: isTerminal))
    }

    @Test func peopleGetResultsOnStandardOutputAndTheRestOnStandardError() {
        let (out, error) = (Recorder(), Recorder())
        let output = output(.init(), out, error)
        output.hello(nodeID: "id")
        output.event("progress", [])
        output.note("a note")
        output.detail("a detail")
        output.result("the result")
        output.finish(CommandResult(fields: [.int("bytes", 3)]))
        #expect(out.text == "the result\n")
        #expect(error.text == "dep2p: a note\n")
    }

    @Test func programsGetHelloEventsAndTheResultAndNoText() {
        let (out, error) = (Recorder(), Recorder())
        let output = output(.init(form: .json, command: "send"), out, error)
        output.hello(nodeID: "id")
        output.hello(nodeID: "again")
        output.event("path", [.string("path", "direct")])
        output.result("the result")
        output.finish(CommandResult(fields: [.int("bytes", 3)]))
        #expect(
            out.text == """
                {"v":1,"type":"hello","command":"send","node_id":"id","version":"0.1.0"}
                {"v":1,"type":"path","path":"direct"}
                {"v":1,"type":"result","ok":true,"code":"ok","exit":0,"bytes":3}

                """)
        #expect(error.text.isEmpty)
    }

    @Test func aFailureComesAfterHelloInAnyCase() {
        let (out, error) = (Recorder(), Recorder())
        let output = output(.init(form: .json, verbosity: -1, command: "send"), out, error)
        output.fail(CLIError(.stalled, "it stalled", fields: [.int("bytes", 3)]))
        #expect(
            out.text == """
                {"v":1,"type":"hello","command":"send","node_id":null,"version":"0.1.0"}
                {"v":1,"type":"result","ok":false,"code":"stalled","exit":75,"message":"it stalled","hint":null,"bytes":3}

                """)
        #expect(error.text.isEmpty)
    }

    @Test func quietKeepsErrorsAndVerboseShowsDetails() {
        let (out, error) = (Recorder(), Recorder())
        let quiet = output(.init(verbosity: -1), out, error)
        quiet.note("a note")
        quiet.fail(CLIError(.noPath, "no path", hint: "look", details: ["a table"]))
        output(.init(verbosity: 1), out, error).detail("a detail")
        #expect(error.text == "dep2p: error: no path\na table\ndep2p: hint: look\ndep2p: a detail\n")
        #expect(out.text.isEmpty)
    }

    @Test func colourIsForTerminalsThatAllowIt() {
        let (out, error, plain) = (Recorder(), Recorder(), Recorder())
        output(.init(), out, error, isTerminal: true).fail(CLIError(.noPath, "no path"))
        #expect(error.text.contains("\u{1b}[1;31merror:\u{1b}[0m"))
        output(.init(allowsColour: false), out, plain, isTerminal: true).fail(CLIError(.noPath, "no path"))
        #expect(plain.text == "dep2p: error: no path\n")
        let terminal = ["TERM": "xterm"]
        #expect(Colour.isAllowed(noColor: false, Environment(terminal)))
        #expect(!Colour.isAllowed(noColor: true, Environment(terminal)))
        #expect(!Colour.isAllowed(noColor: false, Environment(["TERM": "dumb"])))
        #expect(!Colour.isAllowed(noColor: false, Environment([String: String]())))
        #expect(!Colour.isAllowed(noColor: false, Environment(terminal.merging(["NO_COLOR": "1"]) { $1 })))
        #expect(Colour.isAllowed(noColor: false, Environment(terminal.merging(["NO_COLOR": ""]) { $1 })))
    }

    @Test func progressIsOneLineThatFitsAndMakesWayForOthers() {
        let (out, error) = (Recorder(), Recorder())
        let output = output(.init(), out, error, isTerminal: true)
        output.progress(String(repeating: "x", count: 100))
        output.result("done")
        output.note("note")
        let line = "\r" + String(repeating: "x", count: 39) + Colour.eraseToEndOfLine
        #expect(error.text == line + "\r" + Colour.eraseToEndOfLine + "dep2p: note\n")
        #expect(out.text == "done\n")
    }

    @Test func progressIsOnlyForTerminalsAndNotForTheQuiet() {
        let (out, error) = (Recorder(), Recorder())
        output(.init(), out, error).progress("x")
        output(.init(verbosity: -1), out, error, isTerminal: true).progress("x")
        output(.init(form: .json), out, error, isTerminal: true).progress("x")
        #expect(error.text.isEmpty)
    }

    @Test func aReaderThatWentAwayIsToldOnce() {
        let told = Mutex(0)
        let output = Output(
            .init(), standardOutput: Recorder(failure: EPIPE).sink(), standardError: Recorder().sink(),
            onBrokenPipe: { told.withLock { $0 += 1 } })
        output.result("x")
        output.result("y")
        #expect(told.withLock { $0 } == 1)
        #expect(output.failure == EPIPE)
    }
}
