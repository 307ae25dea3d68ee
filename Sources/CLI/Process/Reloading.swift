import DeP2P
import Dispatch
import Glibc
import Synchronization

/// What a command that stays up does on SIGHUP: it reads its settings anew, takes those that can change while the node
/// runs, and says which can't. A mistake in them changes nothing.
struct Reloading: Sendable {
    /// Carries out what was read, when all of it was right. What it gives are settings that have changed although they say
    /// the same, such as files.
    typealias Change = @NetworkActor @Sendable (Node) -> [String]

    /// The settings that the command can change under way.
    let reloadable: [OptionEntry]
    /// Validates all settings, and gives what carries out the reloadable ones.
    let plan: @Sendable (ResolvedOptions) throws(CLIError) -> Change

    /// Files may be slow: signals go on being served meanwhile.
    private static let queue = DispatchQueue(label: "dep2p.reload")

    /// The system signals a terminal's end before the terminal is gone.
    private static let terminalPause: useconds_t = 100_000

    /// From now on. When the signal says that the terminal is gone that the command was started from, the command ends
    /// instead: nobody would know that it still runs.
    @NetworkActor
    func begin(on node: Node, _ context: RunContext) {
        let current = Current(context.options)
        let hadTerminal = Self.hasTerminal
        context.interruption.on(SIGHUP) { [weak node] in
            guard let node else { return }
            Self.queue.async {
                if hadTerminal {
                    usleep(Self.terminalPause)
                    guard Self.hasTerminal else { return _ = context.interruption.trigger(.signal(SIGHUP)) }
                }
                reload(node, current, context)
            }
        }
    }

    /// Whether there is a controlling terminal (tty(4)).
    private static var hasTerminal: Bool {
        let descriptor = open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        close(descriptor)
        return true
    }

    private func reload(_ node: Node, _ current: Current, _ context: RunContext) {
        let notifier = ServiceNotifier(context.environment)
        notifier.send(.reloading(monotonicMicroseconds: Self.monotonicMicroseconds))
        do throws(CLIError) {
            let options = try context.reload()
            let change = try plan(options)
            let changed = current.replace(by: options)
            networkTask {
                let more = change(node)
                report(changed, more, context.output)
                notifier.send(.ready)
            }
        } catch {
            let hint = error.hint.map { " (\($0))" } ?? ""
            context.output.event("reload", Self.fields(isTaken: false, message: error.message))
            context.output.note("the configuration stays as it was: \(error.message)\(hint)")
            notifier.send(.ready)
        }
    }

    private func report(_ changed: [OptionEntry], _ more: [String], _ output: Output) {
        let named = changed.filter(reloadable.contains).map(\.long)
        let taken = named + more.filter { !named.contains($0) }
        let kept = changed.filter { !reloadable.contains($0) }.map(\.long)
        output.event("reload", Self.fields(isTaken: true, taken, kept))
        output.note("the configuration is read anew: \(taken.isEmpty ? "nothing to change" : list(taken))")
        if !kept.isEmpty { output.note("changed too, but only a restart takes it: \(list(kept))") }
    }

    private func list(_ names: [String]) -> String { names.joined(separator: ", ") }

    private static func fields(
        isTaken: Bool, _ taken: [String] = [], _ kept: [String] = [], message: String? = nil
    ) -> [JSONField] {
        [
            .bool("ok", isTaken), JSONField("changed", .array(taken.map(JSONValue.string))),
            JSONField("needs_restart", .array(kept.map(JSONValue.string))), .string("message", message),
        ]
    }

    private static var monotonicMicroseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
    }

    /// The settings that the command runs with.
    private final class Current: Sendable {
        private let options: Mutex<ResolvedOptions>

        init(_ options: ResolvedOptions) { self.options = Mutex(options) }

        /// - Returns: the settings that differ.
        func replace(by new: ResolvedOptions) -> [OptionEntry] {
            options.withLock { options in
                defer { options = new }
                return options.settingsThatDiffer(from: new)
            }
        }
    }
}

extension CommandEntry.Term {
    /// The event of ``Reloading``.
    static let reload = Self(
        "reload",
        "On SIGHUP: `ok`, the settings that have `changed`, those whose change `needs_restart`, and when a mistake keeps "
            + "everything as it was, `message`.")
}
