import DeP2P

/// Every setting that a command runs with, and where it comes from: for `start --print-config`.
struct EffectiveSettings: Sendable, Equatable {
    enum Origin: Sendable, Equatable {
        case given(ResolvedOptions.Source)
        case preset(String)
        case standard

        var description: String {
            switch self {
            case .given(let source): source.description
            case .preset(let name): "the preset \(name)"
            case .standard: "default"
            }
        }
    }

    struct Row: Sendable, Equatable {
        let name: String
        /// Nil: not set.
        let value: Argument?
        let origin: Origin
    }

    let rows: [Row]
    let files: [[UInt8]]

    init(_ options: ResolvedOptions, preset: Preset) {
        files = options.files
        var rows: [Row] = []
        for option in options.command.allOptions.filter(\.isSetting).sorted(by: { $0.long < $1.long }) {
            rows += Self.rows(option, options, preset)
        }
        let names = options.names.entries.map { entry in
            Row(name: ConfigurationFile.namePrefix + entry.name, value: entry.value, origin: .given(entry.source))
        }
        self.rows = rows + names
    }

    /// One row, and of a list one for each place that it comes from.
    private static func rows(_ option: OptionEntry, _ options: ResolvedOptions, _ preset: Preset) -> [Row] {
        guard let source = options.source(option) else {
            let (value, origin) = standard(option, options, preset)
            return [Row(name: option.long, value: value, origin: origin)]
        }
        guard option.value != nil else {
            let value = Argument(options.isSet(option) ? "true" : "false")
            return [Row(name: option.long, value: value, origin: .given(source))]
        }
        let given = option.repeats ? options.given(option)[...] : options.given(option).suffix(1)
        return given.map { Row(name: option.long, value: $0.value, origin: .given($0.source)) }
    }

    /// What holds when nobody says anything.
    private static func standard(
        _ option: OptionEntry, _ options: ResolvedOptions, _ preset: Preset
    ) -> (Argument?, Origin) {
        let paths = options.paths
        switch option {
        case .identity: return (first(paths.identityFiles, orElse: paths.identityFiles.last), .standard)
        case .realmKey: return (first(paths.realmKeyFiles, orElse: nil), .standard)
        case .stateDir: return (paths.state.map { Argument(bytes: $0) }, .standard)
        case .listen: return (Argument(":\(Daemon.port)"), .standard)
        case .preset: return (Argument(preset.name), .standard)
        case .showNodeID: return (Argument("outside-realms"), .standard)
        case .receptionTransfers: return (Argument("\(preset.transfers)"), .preset(preset.name))
        case .startHighWatermark, .startLowWatermark:
            var preset = preset
            // The plan has looked at them.
            if let given = try? Watermarks(options) { given.apply(to: &preset) }
            let count = option == .startLowWatermark ? preset.lowWatermark : preset.highWatermark
            return (Argument("\(count)"), .preset(preset.name))
        case .startRealmRelay: return (Argument("\(preset.relaysForRealm)"), .preset(preset.name))
        case .noPortMapping: return (Argument("\(!preset.mapsPorts)"), .preset(preset.name))
        default: return (option.value == nil ? Argument("false") : nil, .standard)
        }
    }

    private static func first(_ paths: [[UInt8]], orElse other: [UInt8]?) -> Argument? {
        (paths.first(where: FileReading.exists) ?? other).map { Argument(bytes: $0) }
    }

    // MARK: Showing

    func show(_ output: Output) -> CommandResult {
        let width = rows.map(\.name.count).max() ?? 0
        for row in rows {
            let value = row.value.map { TerminalText.escape($0.bytes) } ?? "-"
            let gap = String(repeating: " ", count: width - row.name.count)
            output.result("\(row.name)\(gap)  \(value)  (\(row.origin.description))")
        }
        for file in files { output.note("read \(TerminalText.escape(file))") }
        return CommandResult(fields: [
            JSONField("settings", .array(rows.map { .object($0.fields) })),
            JSONField("files", .array(files.map { .object([.path("path", $0)]) })),
        ])
    }
}

extension EffectiveSettings.Row {
    fileprivate var fields: [JSONField] {
        let shown = value.map { JSONField.text($0.bytes, named: "value", orBase64: "value_base64") }
        let head = [.string("name", name), shown ?? JSONField("value", .null)]
        switch origin {
        case .given(.commandLine): return head + [.string("from", "option")]
        case .given(.variable(let variable)):
            return head + [.string("from", "environment"), .string("variable", variable)]
        case .given(.file(let path, let line)):
            return head + [.string("from", "file"), .path("path", path), .int("line", line)]
        case .preset(let name): return head + [.string("from", "preset"), .string("preset", name)]
        case .standard: return head + [.string("from", "default")]
        }
    }
}
