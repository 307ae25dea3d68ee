/// One option: the single place that says what it is called, takes and means.
///
/// Parsing, `--help`, the man pages and the completions are rendered from these entries. Text in `summary` and
/// `paragraphs` may mark literals with backquotes.
struct OptionEntry: Sendable {
    /// Without the dashes.
    let long: String
    let short: Character?
    /// What the value is; nil for a switch.
    let value: Value?
    /// Whether every occurrence counts. Of an option that does not repeat the last occurrence wins.
    let repeats: Bool
    let heading: Heading
    /// One line for `--help`: lower case, no full stop.
    let summary: String
    /// Sentences for the man page.
    let paragraphs: [String]
    /// The variable that sets it. An option that has one can also stand in the configuration file.
    let variable: String?

    init(
        _ long: String, short: Character? = nil, value: Value? = nil, repeats: Bool = false,
        heading: Heading = .command, variable: String? = nil, summary: String, paragraphs: [String]
    ) {
        self.long = long
        self.short = short
        self.value = value
        self.repeats = repeats
        self.heading = heading
        self.variable = variable
        self.summary = summary
        self.paragraphs = paragraphs
    }

    /// What a value is: its name in the help and what a shell completes.
    struct Value: Sendable, Equatable {
        enum Completion: Sendable, Equatable {
            case file
            case directory
            case choices([String])
            /// The names that the configuration gives to nodes.
            case names
            case nothing
        }

        let placeholder: String
        let completion: Completion

        static let file = Self(placeholder: "FILE", completion: .file)
        static let directory = Self(placeholder: "DIR", completion: .directory)
        static let address = Self(placeholder: "ADDR", completion: .nothing)
        static let hostPort = Self(placeholder: "HOST:PORT", completion: .nothing)
        static let duration = Self(placeholder: "DURATION", completion: .nothing)
        static let size = Self(placeholder: "SIZE", completion: .nothing)
        static let nodeID = Self(placeholder: "NODEID", completion: .names)
        /// The address of a node that has a NodeID, or a name.
        static let peer = Self(placeholder: "ADDR", completion: .names)
        static let text = Self(placeholder: "TEXT", completion: .nothing)
        static let count = Self(placeholder: "N", completion: .nothing)

        static func choice(_ placeholder: String, _ choices: [String]) -> Self {
            Self(placeholder: placeholder, completion: .choices(choices))
        }
    }

    /// Where the option stands in the help; the order is that of the help.
    enum Heading: String, CaseIterable, Sendable {
        case command = "Options"
        case identity = "Identity and realm"
        case network = "Network"
        case general = "Common options"
    }

    /// `-o, --output FILE` with the parts that exist.
    var usage: String { (short.map { "-\($0), " } ?? "") + "--" + long + (value.map { " " + $0.placeholder } ?? "") }

    var isSetting: Bool { variable != nil }
}

extension OptionEntry: Equatable {
    /// The long name is unique in the table, and so is the entry.
    static func == (left: Self, right: Self) -> Bool { left.long == right.long }
}
