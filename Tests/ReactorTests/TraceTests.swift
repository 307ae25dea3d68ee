import Logging
import Synchronization
import Testing

@testable import DeP2PReactor

/// Issue 9.6: an error that is not passed on is told.
@Suite struct TraceTests {
    private struct Broken: Error {}

    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }

    private struct Recorder: LogHandler {
        let lines: Lines
        var metadata = Logger.Metadata()
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { lines.add("\(event.level) \(event.message)") }
    }

    @Test func anErrorIsToldAtItsLevelAndACancellationIsNone() {
        let lines = Lines()
        let trace = Trace(Logger(label: "test") { _ in Recorder(lines: lines) })
        trace.note(Broken(), "a socket", .notable)
        trace.note(Broken(), "a peer", .fine)
        trace.note(CancellationError(), "a task", .notable)
        #expect(lines.all == ["debug a socket: Broken()", "trace a peer: Broken()"])
    }

    @Test @NetworkActor func whatWorksIsGivenAndWhatDoesNotIsNil() async {
        #expect(traced("one") { 1 } == 1)
        #expect(traced("none") { () throws -> Int in throw Broken() } == nil)
        #expect(await traced(awaiting: "one") { 1 } == 1)
        #expect(await traced(awaiting: "none") { () async throws -> Int in throw Broken() } == nil)
    }
}
