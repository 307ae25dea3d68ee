internal import Logging

/// Where an error goes that changes nothing for whoever called: to swift-log, for whoever looks into what a node does.
///
/// A library says little by itself: swift-log shows neither level unless the program asks for it. The command does, with
/// `-v` and `-vv`.
package enum TraceLevel: Sendable {
    /// Something of this machine did not work that others do without: a socket, a port, a file.
    case notable
    /// Something that happens, such as a peer that is gone.
    case fine
}

/// As `try?`, but the error is told.
///
/// - Parameter what: what did not work, in a few words.
package func traced<Value>(
    _ what: @autoclosure () -> String, at level: TraceLevel = .fine, _ body: () throws -> Value
) -> Value? {
    do { return try body() } catch { Trace.shared.note(error, what(), level) }
    return nil
}

/// As ``traced(_:at:_:)``, of work that is waited for.
@NetworkActor
@discardableResult
package func traced<Value: Sendable>(
    awaiting what: @autoclosure () -> String, at level: TraceLevel = .fine,
    _ body: @NetworkActor () async throws -> Value
) async -> Value? {
    do { return try await body() } catch { Trace.shared.note(error, what(), level) }
    return nil
}

struct Trace: Sendable {
    static let shared = Trace(Logger(label: "dep2p"))

    private let logger: Logger

    init(_ logger: Logger) {
        self.logger = logger
    }

    /// Who was cancelled was told to end: that is no error.
    func note(_ error: any Error, _ what: @autoclosure () -> String, _ level: TraceLevel) {
        guard !(error is CancellationError) else { return }
        let level: Logger.Level = level == .notable ? .debug : .trace
        logger.log(level: level, "\(what()): \(String(describing: error))")
    }
}
