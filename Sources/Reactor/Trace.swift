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

/// Whether anybody hears what is told at that level.
package func isTraced(at level: TraceLevel) -> Bool { Trace.shared.tells(level) }

/// Tells that something has happened, with what is known of it: one line for whoever writes it down.
///
/// - Parameter fields: never a key or what a user sends; and of others no addresses at a level that programs show unasked,
///   which none of these is.
package func trace(_ what: String, _ fields: [(name: String, value: String)], at level: TraceLevel) {
    Trace.shared.tell(what, fields, level)
}

struct Trace: Sendable {
    static let shared = Trace(Logger(label: "dep2p"))

    private let logger: Logger

    init(_ logger: Logger) {
        self.logger = logger
    }

    func tells(_ level: TraceLevel) -> Bool { logger.logLevel <= level.ofLogger }

    func tell(_ what: String, _ fields: [(name: String, value: String)], _ level: TraceLevel) {
        let metadata = Logger.Metadata(fields.map { ($0.name, .string($0.value)) }, uniquingKeysWith: { $1 })
        logger.log(level: level.ofLogger, "\(what)", metadata: metadata)
    }

    /// Who was cancelled was told to end: that is no error.
    func note(_ error: any Error, _ what: @autoclosure () -> String, _ level: TraceLevel) {
        guard !(error is CancellationError) else { return }
        logger.log(level: level.ofLogger, "\(what()): \(String(describing: error))")
    }
}

extension TraceLevel {
    fileprivate var ofLogger: Logger.Level {
        switch self {
        case .notable: .debug
        case .fine: .trace
        }
    }
}
