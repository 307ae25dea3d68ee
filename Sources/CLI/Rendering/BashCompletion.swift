/// The completion for bash, with or without the bash-completion package.
enum BashCompletion {
    static var text: String {
        """
        # Completion of dep2p for bash. Rendered from the command table; edit that.

        _dep2p() {
            local cur prev word command='' skip='' only='' kind='' words='' i
            cur=${COMP_WORDS[COMP_CWORD]}
            prev=${COMP_WORDS[COMP_CWORD-1]}
            # bash splits --option=value into three words.
            if [[ $cur == '=' ]]; then
                cur=''
            elif [[ $prev == '=' && COMP_CWORD -gt 2 ]]; then
                prev=${COMP_WORDS[COMP_CWORD-2]}
            fi
            for ((i = 1; i < COMP_CWORD; i++)); do
                word=${COMP_WORDS[i]}
                if [[ $word == '=' ]]; then
                    skip=1
                elif [[ -n $skip ]]; then
                    skip=''
                elif [[ -z $only && $word == -- ]]; then
                    only=1
                elif [[ -z $only && $word == -?* ]]; then
                    case $word in
                    \(CompletionFacts.namesThatTakeValues.joined(separator: " | "))) skip=1 ;;
                    esac
                elif [[ -z $command ]]; then
                    command=$word
                fi
            done
            COMPREPLY=()

            if [[ -n $skip ]]; then
                case "$command $prev" in
        \(values.map { "        " + $0 }.joined(separator: "\n"))
                esac
            elif [[ -z $only && $cur == -* ]]; then
                case $command in
        \(options.map { "        " + $0 }.joined(separator: "\n"))
                esac
            else
                case $command in
                '') words='\(CommandTable.commands.map(\.name).joined(separator: " ")) help' ;;
        \(operands.map { "        " + $0 }.joined(separator: "\n"))
                esac
            fi

            case $kind in
            file)
                compopt -o filenames 2>/dev/null
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                ;;
            directory)
                compopt -o filenames 2>/dev/null
                mapfile -t COMPREPLY < <(compgen -d -- "$cur")
                ;;
            names)
                mapfile -t COMPREPLY < <(compgen -W "$(command dep2p __names 2>/dev/null)" -- "$cur")
                ;;
            *)
                [[ -n $words ]] && mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
                ;;
            esac
        }

        complete -F _dep2p dep2p

        """
    }

    /// The cases that say what an option's value is.
    private static var values: [String] {
        let own = CommandTable.commands.flatMap { command in
            command.options.compactMap { line($0, prefix: "'\(command.name) '") }
        }
        return own + CommandTable.commonOptions.compactMap { line($0, prefix: "*' '") }
    }

    private static func line(_ option: OptionEntry, prefix: String) -> String? {
        guard let value = option.value else { return nil }
        let pattern = CompletionFacts.names(option).map { prefix + $0 }.joined(separator: " | ")
        switch value.completion {
        case .file: return "\(pattern)) kind=file ;;"
        case .directory: return "\(pattern)) kind=directory ;;"
        case .choices(let choices): return "\(pattern)) words='\(choices.joined(separator: " "))' ;;"
        case .names: return "\(pattern)) kind=names ;;"
        case .nothing: return nil
        }
    }

    private static var options: [String] {
        func names(_ options: [OptionEntry]) -> String {
            options.flatMap(CompletionFacts.names).joined(separator: " ")
        }
        return CommandTable.commands.map { "\($0.name)) words='\(names($0.allOptions))' ;;" } + [
            "*) words='\(names(CommandTable.commonOptions))' ;;"
        ]
    }

    private static var operands: [String] {
        CommandTable.commands.filter { $0.operands == .files }.map { "\($0.name)) kind=file ;;" }
            + CommandTable.commands.filter { $0.operands == .names }.map { "\($0.name)) kind=names ;;" } + [
                "help) words='\(CommandTable.commands.map(\.name).joined(separator: " "))' ;;"
            ]
    }
}
