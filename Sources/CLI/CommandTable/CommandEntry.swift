/// One command: everything about it except what it does, and the door to what it does.
struct CommandEntry: Sendable {
    let name: String
    /// One line: lower case, no full stop. It is also the NAME line of the man page.
    let summary: String
    /// What follows the command's name in each form of its use.
    let synopses: [String]
    /// Paragraphs of DESCRIPTION.
    let description: [String]
    let operands: Operands
    /// The command's own options, sorted by long name.
    let options: [OptionEntry]
    /// The common options it takes beside those of ``OptionEntry/Heading/general``, sorted by long name.
    let common: [OptionEntry]
    let examples: [Example]
    /// The statuses it can end with beside those that every command can.
    let statuses: [ExitStatus]
    /// The JSON events and result fields, as `name` and meaning.
    let events: [Term]
    let files: [Term]
    let notes: [String]
    /// Lines below the notes that stand as they are, such as a file to copy.
    let listing: [String]
    /// Turns arguments into a plan, without touching the world.
    let plan: @Sendable (ResolvedOptions) throws(CLIError) -> any CommandPlan

    init(
        name: String, summary: String, synopses: [String], description: [String], operands: Operands,
        options: [OptionEntry], common: [OptionEntry] = [], examples: [Example], statuses: [ExitStatus],
        events: [Term], files: [Term] = [], notes: [String] = [], listing: [String] = [],
        plan: @escaping @Sendable (ResolvedOptions) throws(CLIError) -> any CommandPlan
    ) {
        self.name = name
        self.summary = summary
        self.synopses = synopses
        self.description = description
        self.operands = operands
        self.options = options
        self.common = common
        self.examples = examples
        self.statuses = statuses
        self.events = events
        self.files = files
        self.notes = notes
        self.listing = listing
        self.plan = plan
    }

    /// What a shell completes where no option stands.
    enum Operands: Sendable, Equatable {
        case none
        case files
        /// A node: the names of the configuration, and what no shell can know, such as an address.
        case names
        /// What no shell can know.
        case words
    }

    struct Example: Sendable {
        let says: String
        /// The line to type, with the program's name.
        let line: String
    }

    struct Term: Sendable {
        let name: String
        let meaning: String

        init(_ name: String, _ meaning: String) {
            self.name = name
            self.meaning = meaning
        }
    }

    /// Every option the command takes: its own, then the common ones.
    var allOptions: [OptionEntry] { options + common + CommonOptions.general }

    /// Every status the command can end with, ascending.
    var allStatuses: [ExitStatus] {
        Set(statuses + CommandTable.universalStatuses).sorted { $0.rawValue < $1.rawValue }
    }
}

/// A validated command, ready to run. A plan is a pure value; only ``run(in:)`` touches the world.
protocol CommandPlan: Sendable {
    /// - Returns: the fields of the JSON result beside `ok`, `code` and `exit`.
    /// - Throws: ``CLIError``.
    func run(in context: RunContext) async throws(CLIError) -> CommandResult
}

/// How a command ended that did not fail.
struct CommandResult: Sendable {
    var fields: [JSONField] = []
    var status: ExitStatus = .ok
}
