import DeP2PIdentity

/// How a sent or received file ended up.
public struct TransferredFile: Equatable, Sendable {
    package let index: Int
    /// The path that was offered.
    public let path: [String]
    /// The path it is stored under, which differs when the offered name was taken.
    public let storedPath: [String]
    public let size: UInt64
    /// BEP 52 `pieces root`, verified by the receiver.
    package let root: MerkleRoot
    /// Of a receiver with a folder: that folder's path as it was given, or the one that it has now, when it was renamed
    /// meanwhile.
    var folder: [UInt8]?

    /// Of a receiver with a folder: where the file lies, as bytes of a path that begins with the folder's.
    package var location: [UInt8]? {
        folder.map { FolderHandle.location(of: storedPath, below: $0) }
    }
}

/// The files of a transfer that are done, in the order in which they were.
///
/// As values of their own, each with its paths, a hundred thousand take 30 MB; here a path is that of the entry, and the
/// few that differ are kept beside. A file is made when it is asked for.
public struct TransferredFiles: RandomAccessCollection, Equatable, Sendable {
    private struct Record: Sendable {
        let size: UInt64
        let root: MerkleRoot
        let index: UInt32
        /// Position in `folders`.
        let folder: UInt32?
    }

    private let entries: TransferEntries
    private var records: [Record] = []
    /// By position, where they are not those of the entries.
    private var paths: [Int: [String]] = [:]
    /// By position, where they are not the files' paths.
    private var storedPaths: [Int: [String]] = [:]
    private var folders: [[UInt8]] = []

    /// - Parameter entries: those of the offer, which most files have their paths from.
    package init(of entries: TransferEntries = TransferEntries()) {
        self.entries = entries
    }

    public var startIndex: Int { 0 }
    public var endIndex: Int { records.count }

    public subscript(position: Int) -> TransferredFile {
        let record = records[position]
        let index = Int(record.index)
        let path = paths[position] ?? entries[index].path
        return TransferredFile(
            index: index, path: path, storedPath: storedPaths[position] ?? path, size: record.size,
            root: record.root, folder: record.folder.map { folders[Int($0)] })
    }

    package mutating func append(_ file: TransferredFile) {
        let position = records.count
        if !entries.isPath(file.path, at: file.index) { paths[position] = file.path }
        if !file.storedPath.isSamePath(as: file.path) { storedPaths[position] = file.storedPath }
        // Most often that of the file before.
        if let folder = file.folder, folders.last != folder { folders.append(folder) }
        records.append(
            Record(
                size: file.size, root: file.root, index: UInt32(file.index),
                folder: file.folder == nil ? nil : UInt32(folders.count - 1)))
    }

    /// The roots in the order of the offer.
    var rootsInOrder: [MerkleRoot] { records.sorted { $0.index < $1.index }.map(\.root) }

    public static func == (left: Self, right: Self) -> Bool { left.elementsEqual(right) }
}

extension [String] {
    /// Equal byte by byte: `==` takes the normal forms of a name for one, and they are different names on a disk.
    func isSamePath(as other: [String]) -> Bool { elementsEqual(other) { $0.utf8.elementsEqual($1.utf8) } }
}
