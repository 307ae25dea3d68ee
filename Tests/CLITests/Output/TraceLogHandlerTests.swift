import Logging
import Testing

@testable import DeP2PCLI

/// `-v` shows what did not work, `-vv` everything, both on standard error.
@Suite struct TraceLogHandlerTests {
    @Test(arguments: [
        (-1, []), (0, []), (1, ["dep2p: a port"]), (2, ["dep2p: a port", "dep2p: a peer said\\n"]),
    ])
    func theLevelsAreThoseOfTheOption(_ verbosity: Int, _ expected: [String]) {
        let (out, error) = (OutputTests.Recorder(), OutputTests.Recorder())
        let output = Output(
            .init(form: .json, verbosity: verbosity), standardOutput: out.sink(), standardError: error.sink())
        let logger = Logger(label: "test") { _ in TraceLogHandler(output) }
        logger.debug("a port")
        logger.trace("a peer said\n")
        #expect(output.drain(patience: nil))
        #expect(error.text == expected.map { $0 + "\n" }.joined())
        #expect(out.text.isEmpty)
    }
}
