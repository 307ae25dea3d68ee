/// The completion for fish.
enum FishCompletion {
    static var text: String {
        """
        # Completion of dep2p for fish. Rendered from the command table; edit that.

        # Succeeds when the command on the line is the one given; '' stands for none yet.
        function __dep2p_is
            set -l command ''
            set -l skip 0
            set -l only 0
            for token in (commandline -opc)[2..-1]
                if test $skip = 1
                    set skip 0
                else if test $only = 0 -a "$token" = --
                    set only 1
                else if test $only = 0; and string match -qr -- '^-.' $token
                    contains -- $token \(CompletionFacts.namesThatTakeValues.joined(separator: " "))
                    and set skip 1
                else if test -z "$command"
                    set command $token
                end
            end
            test "$command" = "$argv[1]"
        end

        complete -c dep2p -f
        \((commandLines + commonLines + CommandTable.commands.flatMap(lines)).joined(separator: "\n"))

        """
    }

    private static var commandLines: [String] {
        CommandTable.commands.flatMap { command in
            ["''", "help"].map { condition in
                "complete -c dep2p -n \"__dep2p_is \(condition)\" -a \(command.name) "
                    + "-d \(ShellQuoting.fish(Markup.plain(command.summary)))"
            }
        } + ["complete -c dep2p -n \"__dep2p_is ''\" -a help -d 'show help on a command'"]
    }

    private static var commonLines: [String] {
        CommandTable.commonOptions.map { line($0, condition: "__dep2p_is ''") }
    }

    private static func lines(_ command: CommandEntry) -> [String] {
        let condition = "__dep2p_is \(command.name)"
        let operands: [String] =
            switch command.operands {
            case .none, .words: []
            case .files: ["complete -c dep2p -n \"\(condition)\" -F"]
            case .names: ["complete -c dep2p -n \"\(condition)\" -a '\(names)'"]
            }
        return operands + command.allOptions.map { line($0, condition: condition) }
    }

    /// The names of the configuration.
    private static let names = "(command dep2p __names 2>/dev/null)"

    private static func line(_ option: OptionEntry, condition: String) -> String {
        var text = "complete -c dep2p -n \"\(condition)\""
        if let short = option.short { text += " -s \(short)" }
        text += " -l \(option.long)"
        switch option.value?.completion {
        case nil: break
        case .file: text += " -r -F"
        case .directory: text += " -x -a '(__fish_complete_directories)'"
        case .choices(let choices): text += " -x -a '\(choices.joined(separator: " "))'"
        case .names: text += " -x -a '\(names)'"
        case .nothing: text += " -x"
        }
        return text + " -d " + ShellQuoting.fish(Markup.plain(option.summary))
    }
}
