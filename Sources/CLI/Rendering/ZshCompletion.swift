/// The completion for zsh.
enum ZshCompletion {
    static var text: String {
        """
        #compdef dep2p
        # Completion of dep2p for zsh. Rendered from the command table; edit that.

        _dep2p_names() {
            compadd -- ${(f)"$(command dep2p __names 2>/dev/null)"}
        }

        _dep2p() {
            local curcontext="$curcontext" state line
            local -a commands
            typeset -A opt_args
            commands=(
        \(CommandTable.commands.map { "        " + described($0) }.joined(separator: "\n"))
            )

            _arguments -C -s -S \\
        \(specifications(CommandTable.commonOptions, indent: 8))
                '1: :->command' \\
                '*:: :->arguments'

            case $state in
            command)
                _describe -t commands 'dep2p command' commands
                ;;
            arguments)
                case $words[1] in
        \(CommandTable.commands.map(arguments).joined(separator: "\n"))
                help)
                    _describe -t commands 'dep2p command' commands
                    ;;
                esac
                ;;
            esac
        }

        if [[ $funcstack[1] == _dep2p ]]; then
            _dep2p "$@"
        else
            compdef _dep2p dep2p
        fi

        """
    }

    private static func described(_ command: CommandEntry) -> String {
        ShellQuoting.posix("\(command.name):\(escaped(command.summary))")
    }

    private static func arguments(_ command: CommandEntry) -> String {
        // An operand without completions is left out: its message would keep zsh from inserting an option.
        let operands =
            switch command.operands {
            case .none: ""
            case .words: " \\\n                '*:text: '"
            case .files: " \\\n                '*:file:_files'"
            case .names: " \\\n                '*:name:_dep2p_names'"
            }
        // The last line of the options ends the command unless operands follow.
        let lines = specifications(command.allOptions, indent: 16).dropLast(2)
        return """
                    \(command.name))
                        _arguments -s -S \\
            \(lines)\(operands)
                        ;;
            """
    }

    /// One line an option, each continued on the next.
    private static func specifications(_ options: [OptionEntry], indent: Int) -> String {
        let margin = String(repeating: " ", count: indent)
        return options.map { margin + specification($0) + " \\" }.joined(separator: "\n")
    }

    private static func specification(_ option: OptionEntry) -> String {
        let names = CompletionFacts.names(option)
        let explained = "[\(escaped(option.summary))]" + value(option)
        let decorated = zip(names, option.value == nil ? ["", ""] : [names.count > 1 ? "+" : "=", "="]).map { $0 + $1 }
        let tail = ShellQuoting.posix(explained)
        if names.count == 1 {
            return ShellQuoting.posix((option.repeats ? "*" : "") + decorated[0] + explained)
        }
        let head = option.repeats ? "'*'" : "'(\(names.joined(separator: " ")))'"
        return "\(head){\(decorated.joined(separator: ","))}\(tail)"
    }

    private static func value(_ option: OptionEntry) -> String {
        guard let value = option.value else { return "" }
        switch value.completion {
        case .file: return ":\(value.placeholder):_files"
        case .directory: return ":\(value.placeholder):_files -/"
        case .choices(let choices): return ":\(value.placeholder):(\(choices.joined(separator: " ")))"
        case .names: return ":\(value.placeholder):_dep2p_names"
        case .nothing: return ":\(value.placeholder): "
        }
    }

    /// Brackets and colons end parts of a specification.
    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in Markup.plain(text) {
            if "[]:\\".contains(character) { result += "\\" }
            result.append(character)
        }
        return result
    }
}
