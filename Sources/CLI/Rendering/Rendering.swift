import Glibc

/// The files that are rendered from the table and kept in the repository.
enum Rendering {
    /// A path below the repository, and the content.
    struct File: Equatable {
        let path: String
        let content: String
    }

    static var files: [File] {
        ManPage.all.map { File(path: "man/" + $0.fileName, content: $0.content) } + [
            File(path: "completions/dep2p.bash", content: BashCompletion.text),
            File(path: "completions/_dep2p", content: ZshCompletion.text),
            File(path: "completions/dep2p.fish", content: FishCompletion.text),
        ]
    }

    /// `dep2p __render DIR` writes the files below DIR. It is for those who change the table, and stands nowhere else.
    ///
    /// - Returns: nil when the arguments say something else.
    static func runHidden(_ arguments: [Argument]) -> ExitStatus? {
        guard arguments.first?.text == "__render", arguments.count == 2, let root = arguments[1].text else {
            return nil
        }
        for folder in ["man", "completions"] { mkdir("\(root)/\(folder)", 0o755) }
        for file in files {
            let descriptor = open("\(root)/\(file.path)", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else { return .cannotCreate }
            defer { close(descriptor) }
            let bytes = Array(file.content.utf8)
            guard write(descriptor, bytes, bytes.count) == bytes.count else { return .ioError }
        }
        return .ok
    }
}
