/// Files that get their names in one go, and what is due for all of them together: lines of the journal, and folders that
/// have to be synchronized before anybody is told.
///
/// Calling order: ``store(_:as:index:below:size:root:)`` and ``add(_:)`` any number of times; ``synchronizeFolders()``;
/// ``lines`` into the journal, whatever failed before.
struct CommitBatch {
    private var folders: [Descriptor] = []
    private(set) var lines: [ResumeJournal.Line] = []
    /// The path to put before those of the files.
    let base: [UInt8]

    init(in folder: FolderHandle) {
        base = folder.base
    }

    /// Makes a file durable and gives it the first free one of the names for `entry`.
    ///
    /// - Parameter folder: the folder it lies in, as components below the output folder.
    mutating func store(
        _ partial: PartialFile, as entry: TransferEntry, index: Int, below folder: [String], size: UInt64,
        root: MerkleRoot
    ) throws(TransferError) -> TransferredFile {
        let (name, status) = try partial.store(as: entry.path.last ?? "", entry: entry)
        var storedPath = folder + [name]
        // Most often they are the same: one array then, not two.
        if storedPath.isSamePath(as: entry.path) { storedPath = entry.path }
        if let status, entry.kind == .file {
            lines.append(
                ResumeJournal.Line(
                    path: entry.path, storedPath: storedPath, size: size, root: root, inode: status.inode,
                    modified: status.modified ?? 0))
        }
        add(partial.directory)
        return TransferredFile(
            index: index, path: entry.path, storedPath: storedPath, size: size, root: root, folder: base)
    }

    /// A folder that has to be synchronized.
    mutating func add(_ folder: Descriptor) {
        if folders.last !== folder { folders.append(folder) }
    }

    /// Whoever is told of the files may be told now. The folders are let go.
    mutating func synchronizeFolders() throws(TransferError) {
        for folder in folders {
            if case .failure(let error) = folder.synchronize() { throw .writing("the folder", error) }
        }
        folders = []
    }
}
