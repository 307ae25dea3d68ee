import Dispatch
import Glibc
import Synchronization
import Testing

@testable import DeP2PCLI

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
        #expect(output.drain(patience: nil))
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
        #expect(output.drain(patience: nil))
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
        #expect(output.drain(patience: nil))
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
        #expect(quiet.drain(patience: nil))
        let verbose = output(.init(verbosity: 1), out, error)
        verbose.detail("a detail")
        #expect(verbose.drain(patience: nil))
        #expect(error.text == "dep2p: error: no path\na table\ndep2p: hint: look\ndep2p: a detail\n")
        #expect(out.text.isEmpty)
    }

    @Test func colourIsForTerminalsThatAllowIt() {
        let (out, error, plain) = (Recorder(), Recorder(), Recorder())
        let coloured = output(.init(), out, error, isTerminal: true)
        coloured.fail(CLIError(.noPath, "no path"))
        #expect(coloured.drain(patience: nil))
        #expect(error.text.contains("\u{1b}[1;31merror:\u{1b}[0m"))
        let colourless = output(.init(allowsColour: false), out, plain, isTerminal: true)
        colourless.fail(CLIError(.noPath, "no path"))
        #expect(colourless.drain(patience: nil))
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
        output.progress(ProgressLine(name: String(repeating: "x", count: 100), figures: "50 %"))
        output.result("done")
        output.note("note")
        #expect(output.drain(patience: nil))
        let name = String(repeating: "x", count: 16) + "…" + String(repeating: "x", count: 16)
        let line = "\r" + name + "  50 %" + Colour.eraseToEndOfLine
        #expect(error.text == line + "\r" + Colour.eraseToEndOfLine + "dep2p: note\n")
        #expect(out.text == "done\n")
    }

    @Test func progressIsOnlyForTerminalsAndNotForTheQuiet() {
        let (out, error) = (Recorder(), Recorder())
        let line = ProgressLine(name: "x", figures: "1 %")
        let outputs = [
            output(.init(), out, error), output(.init(verbosity: -1), out, error, isTerminal: true),
            output(.init(form: .json), out, error, isTerminal: true),
        ]
        for output in outputs { output.progress(line) }
        for output in outputs { #expect(output.drain(patience: nil)) }
        #expect(error.text.isEmpty)
    }

    @Test func aDumbTerminalGetsNoEscapes() {
        let (out, error) = (Recorder(), Recorder())
        let output = output(.init(allowsColour: false, allowsEscapes: false), out, error, isTerminal: true)
        output.progress(ProgressLine(name: "x", figures: "1 %"))
        output.note("note")
        #expect(output.drain(patience: nil))
        #expect(!error.text.contains("\u{1b}"))
        let blank = String(repeating: " ", count: 39)
        #expect(error.text == "\rx  1 %" + blank.dropFirst(6) + "\r" + blank + "\rdep2p: note\n")
    }

    @Test func aReaderThatWentAwayIsToldOnce() {
        let told = Mutex(0)
        let output = Output(
            .init(), standardOutput: Recorder(failure: EPIPE).sink(), standardError: Recorder().sink(),
            onBrokenPipe: { told.withLock { $0 += 1 } })
        output.result("x")
        output.result("y")
        #expect(output.drain(patience: nil))
        #expect(told.withLock { $0 } == 1)
        #expect(output.failure == EPIPE)
        #expect(output.lostContent)
    }

    @Test func whatOnlyReportsIsNoContentThatWasLost() {
        let output = Output(
            .init(form: .json), standardOutput: Recorder(failure: EPIPE).sink(), standardError: Recorder().sink())
        output.event("path", [])
        output.finish(CommandResult(fields: []))
        #expect(output.drain(patience: nil))
        #expect(output.failure == EPIPE)
        #expect(!output.lostContent)
    }

    /// A reader that does not read until it is told to.
    private final class Stopped: Sendable {
        private let gate = DispatchSemaphore(value: 0)
        private let calls = Mutex(0)
        let recorder = Recorder()

        /// How often it was written to.
        var writes: Int { calls.withLock { $0 } }

        var sink: Output.Sink {
            let inner = recorder.sink()
            return Output.Sink(
                write: { [self] bytes in
                    gate.wait()
                    gate.signal()
                    calls.withLock { $0 += 1 }
                    return inner.write(bytes)
                }, isTerminal: false, columns: { nil })
        }

        func read() { gate.signal() }
    }

    @Test func nobodyWaitsForAReaderAndEventsAreCountedWhileRecordsStay() {
        let (reader, error) = (Stopped(), Recorder())
        let output = Output(
            .init(form: .json, command: "listen"), standardOutput: reader.sink, standardError: error.sink())
        let text = String(repeating: "x", count: 10_000)
        for _ in 0..<200 { output.event("path", [.string("path", text)]) }
        #expect(output.isBacklogged || !output.drain(patience: .milliseconds(1)))
        output.record("message", [.string("text", text)])
        reader.read()
        #expect(output.drain(patience: nil))
        output.event("path", [.string("path", "direct")])
        #expect(output.drain(patience: nil))
        let lines = reader.recorder.text.split(separator: "\n")
        let kept = lines.count { $0.contains("\"path\":\"xxx") }
        #expect(kept > 90 && kept < 200)
        #expect(lines.contains { $0 == "{\"v\":1,\"type\":\"dropped\",\"count\":\(200 - kept)}" })
        #expect(lines.count { $0.contains("\"type\":\"message\"") } == 1)
        #expect(lines.last == "{\"v\":1,\"type\":\"path\",\"path\":\"direct\"}")
    }

    @Test func notesThatNobodyReadAreCounted() {
        let (reader, out) = (Stopped(), Recorder())
        let output = Output(.init(), standardOutput: out.sink(), standardError: reader.sink)
        for _ in 0..<200 { output.note(String(repeating: "x", count: 10_000)) }
        output.fail(CLIError(.stalled, "it stalled"))
        reader.read()
        #expect(output.drain(patience: nil))
        let lines = reader.recorder.text.split(separator: "\n")
        let kept = lines.count { $0.contains("xxx") }
        #expect(lines.contains { $0 == "dep2p: \(200 - kept) lines were dropped here: nobody read them in time" })
        #expect(lines.last == "dep2p: error: it stalled")
    }

    /// A hundred thousand files are not as many system calls.
    @Test func shortLinesThatWaitAreWrittenTogetherAndInTheirOrder() {
        let (reader, error) = (Stopped(), Recorder())
        let output = Output(.init(), standardOutput: reader.sink, standardError: error.sink())
        let lines = (0..<10_000).map { "file \($0)" }
        for line in lines { output.result(line) }
        reader.read()
        #expect(output.drain(patience: nil))
        #expect(reader.recorder.text == lines.map { $0 + "\n" }.joined())
        #expect(reader.writes < 20)
    }
}
