import Testing

@testable import DeP2PCLI

/// The completions in the real shells, on a terminal, with the tab key. `dep2p` is a function there that shows what it
/// was given, so what the shell completed can be read back without looking at the screen.
@Suite(.serialized) struct CompletionTests {
    enum Shell: String, CaseIterable, Sendable {
        case bash, zsh, fish

        var file: String {
            switch self {
            case .bash: "completions/dep2p.bash"
            case .zsh: "completions/_dep2p"
            case .fish: "completions/dep2p.fish"
            }
        }
    }

    /// What is typed, and what the command then gets.
    static let lines: [(String, String)] = [
        ("dep2p se\t", "send"),
        ("dep2p st\t", "start"),
        ("dep2p rea\t", "realm-key"),
        ("dep2p --quiet li\t", "--quiet listen"),
        ("dep2p help pi\t", "help ping"),
        ("dep2p send --mess\t x", "send --message x"),
        ("dep2p listen --once --stdo\t", "listen --once --stdout"),
        ("dep2p ping --preset mo\t", "ping --preset mobile"),
        ("dep2p ping --preset=mo\t", "ping --preset=mobile"),
        ("dep2p --timeout 5s ping --req\t", "--timeout 5s ping --require-direct"),
        ("dep2p send disk\t", "send disk.img"),
        ("dep2p send --to x note\t", "send --to x notes/"),
        ("dep2p listen -o note\t", "listen -o notes/"),
        ("dep2p keygen --show two\t", "keygen --show two words"),
        ("dep2p send --to lap\t x", "send --to laptop x"),
        ("dep2p send --to=lap\t x", "send --to=laptop x"),
        ("dep2p ping off\t", "ping office"),
        ("dep2p start --allow of\t", "start --allow office"),
    ]

    @Test(arguments: Shell.allCases)
    func tabCompletes(_ shell: Shell) throws {
        let sandbox = try Sandbox()
        let found = try sandbox.run("command -v \(shell.rawValue)")
        try #require(found.status == 0, "install the package \(shell.rawValue) to run this test")
        if shell == .bash {
            let library = "/usr/share/bash-completion/bash_completion"
            try #require(Sandbox.read(library) != nil, "install the package bash-completion to run this test")
        }
        let session = try Self.start(shell, in: sandbox)
        for (typed, expected) in Self.lines {
            session.type(typed)
            // The words of the command, each in brackets, after which the shell is ready for the next line.
            session.type("\r")
            let seen = try session.read(until: "]END").split(separator: "GOT[").last.map(String.init) ?? ""
            let words = seen.split(separator: "]END").first.map(String.init) ?? ""
            #expect(words.trimmingSpaces == expected, "\(shell): \(typed)")
        }
    }

    private static func start(_ shell: Shell, in sandbox: Sandbox) throws -> TerminalSession {
        _ = try sandbox.run("mkdir -p work/notes lib; touch work/disk.img 'work/two words'")
        // A line that is wrong costs no name.
        _ = try sandbox.run("mkdir -p home/.config/dep2p")
        sandbox.write(
            "name.laptop = 192.0.2.7:1\nname.office=x\nname.-o = 192.0.2.7:1\nwrong\n", to: "home/.config/dep2p/config")
        let file = try #require(Rendering.files.first { $0.path == shell.file })
        let environment =
            sandbox.environment.filter { !$0.hasPrefix("TERM=") } + [
                "TERM=xterm", "XDG_DATA_HOME=\(sandbox.path)/home", "XDG_CACHE_HOME=\(sandbox.path)/home",
            ]
        let arguments: [String]
        switch shell {
        case .bash:
            // bash-completion loads a file of the command's name on the first tab.
            _ = try sandbox.run("mkdir -p home/bash-completion/completions")
            sandbox.write(file.content, to: "home/bash-completion/completions/dep2p.bash")
            sandbox.write(
                """
                source /usr/share/bash-completion/bash_completion
                bind 'set bell-style none'; bind 'set enable-bracketed-paste off'
                PS1=; cd \(sandbox.path)/work
                dep2p() { printf 'GOT[%s]END\\n' "$*"; }
                """, to: "rc")
            arguments = ["bash", "--noprofile", "--rcfile", "\(sandbox.path)/rc", "-i"]
        case .zsh:
            sandbox.write(file.content, to: "lib/_dep2p")
            sandbox.write(
                """
                fpath=(\(sandbox.path)/lib $fpath)
                autoload -Uz compinit && compinit -u -D
                unsetopt beep prompt_cr auto_remove_slash; unset zle_bracketed_paste
                PS1=; cd \(sandbox.path)/work
                dep2p() { printf 'GOT[%s]END\\n' "$*" }
                """, to: "home/.zshrc")
            arguments = ["zsh", "-i"]
        case .fish:
            // Where there are generated completions (among the data in fish 3, in the cache in 4), none are generated in the
            // background, by a process that would outlive the test and its folder.
            _ = try sandbox.run("mkdir -p home/fish/vendor_completions.d home/fish/generated_completions")
            sandbox.write(file.content, to: "home/fish/vendor_completions.d/dep2p.fish")
            sandbox.write(
                """
                set fish_greeting; function fish_prompt; end; cd \(sandbox.path)/work
                set -g fish_autosuggestion_enabled 0
                source \(sandbox.path)/home/fish/vendor_completions.d/dep2p.fish
                function dep2p; printf 'GOT[%s]END\\n' "$argv"; end
                """, to: "rc.fish")
            arguments = ["fish", "--private", "-C", "source \(sandbox.path)/rc.fish", "-i"]
        }
        return try TerminalSession(arguments, environment: environment, columns: 200)
    }
}

extension String {
    fileprivate var trimmingSpaces: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
