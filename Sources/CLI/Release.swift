/// What the help, the man pages and `--version` say about this build; the man pages are rendered from nothing else,
/// so the same sources give the same bytes.
enum Release {
    static let program = "dep2p"
    static let version = "0.1.0"
    /// The date in the man pages' title line.
    static let date = "2026-11-22"
    static let reportProblems = "the issue tracker of the dep2p repository"
}
