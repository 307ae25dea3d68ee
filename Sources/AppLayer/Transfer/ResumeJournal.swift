internal import DeP2PIdentity
internal import DeP2PQUIC
internal import Glibc

/// Remembers which files of an unfinished transfer are already stored, so that sending the same again neither repeats
/// nor duplicates them.
///
/// A file `.dep2p-resume-<16 hex>` in the receiving folder, one line a stored file; it exists while a transfer runs
/// and after one that was interrupted. A line counts only while the stored file still is the one that was stored
/// (inode, size, time of modification).
final class ResumeJournal: Sendable {
    struct Line: Equatable {
        let path: [String]
        let storedPath: [String]
        let size: UInt64
        let root: MerkleRoot
        let inode: UInt64
        let modified: Int64
    }

    /// Bytes of a journal that are read; more is not believed.
    static let maximumBytes = 64 << 20

    private let directory: Descriptor
    private let descriptor: Descriptor
    private let name: [UInt8]

    /// Opens the journal of what `parts` tell apart; the next one when another transfer of the same things is under way.
    ///
    /// - Returns: `nil` when the folder cannot be written, or too many are under way.
    static func open(in folder: FolderHandle, of parts: [[UInt8]]) -> ResumeJournal? {
        for slot in 0..<TransferLimits.partialsPerName {
            let tag = TransferName.tag(slot == 0 ? parts : parts + [[UInt8(slot)]])
            let name = Array((TransferName.resumePrefix + tag).utf8)
            let flags = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK
            guard case .success(let opened) = Descriptor.open(name, in: folder.descriptor, flags: flags, mode: 0o600)
            else { return nil }
            guard opened.lock() != .busy else { continue }
            guard case .success(let status) = opened.status(), status.kind == .file,
                status.owner == geteuid() || status.owner == folder.creationOwner(),
                case .success(let named) = folder.descriptor.status(of: name), named.inode == status.inode
            else { return nil }
            return ResumeJournal(opened, in: folder.descriptor, name: name)
        }
        return nil
    }

    private init(_ descriptor: Descriptor, in directory: Descriptor, name: [UInt8]) {
        (self.descriptor, self.directory, self.name) = (descriptor, directory, name)
    }

    func lines() -> [Line] {
        var bytes: [UInt8] = []
        while bytes.count < Self.maximumBytes {
            let chunk = Chunk(capacity: Chunk.pooledCapacity)
            guard case .success(let count) = chunk.read(from: descriptor.number, at: UInt64(bytes.count)), count > 0
            else { break }
            bytes += chunk.array()
        }
        // What follows the last newline was cut off by a crash.
        return bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast().compactMap(
            Line.init)
    }

    func append(_ lines: [Line]) {
        guard !lines.isEmpty else { return }
        var bytes: [UInt8] = []
        for line in lines { line.write(to: &bytes) }
        // A journal that cannot be written costs a duplicate after an interruption, no more.
        _ = Chunk(bytes).write(to: descriptor.number, at: nil)
    }

    /// Removes the journal, unless it holds something that a later transfer needs, and lets that have it: at once, not when
    /// the last thread that worked for this one is done with it. Nothing is appended any more.
    func close(confirmed: Bool) {
        defer { descriptor.unlock() }
        if !confirmed, case .success(let status) = descriptor.status(), status.size > 0 { return }
        // Where an open file cannot be removed, it says nothing at least.
        if confirmed { ftruncate(descriptor.number, 0) }
        directory.remove(name)
    }
}

extension ResumeJournal.Line {
    fileprivate func write(to bytes: inout [UInt8]) {
        Self.write(size, to: &bytes)
        root.appendHex(to: &bytes)
        bytes.append(UInt8(ascii: "\t"))
        Self.write(inode, to: &bytes)
        Self.write(modified, to: &bytes)
        Self.write(path, to: &bytes)
        bytes.append(UInt8(ascii: "\t"))
        Self.write(storedPath, to: &bytes)
        bytes.append(UInt8(ascii: "\n"))
    }

    private static func write(_ number: some BinaryInteger, to bytes: inout [UInt8]) {
        bytes += String(number).utf8
        bytes.append(UInt8(ascii: "\t"))
    }

    private static func write(_ path: [String], to bytes: inout [UInt8]) {
        for (position, component) in path.enumerated() {
            if position > 0 { bytes.append(UInt8(ascii: "/")) }
            bytes += component.utf8
        }
    }

    fileprivate init?(_ line: ArraySlice<UInt8>) {
        guard let text = String(validating: line, as: UTF8.self) else { return nil }
        let fields = text.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        guard fields.count == 6, let size = UInt64(fields[0]), let hash = Hex.decode(fields[1]),
            let root = MerkleRoot(bytes: hash), let inode = UInt64(fields[2]), let modified = Int64(fields[3]),
            let path = Self.components(fields[4]), let storedPath = Self.components(fields[5])
        else { return nil }
        self.init(path: path, storedPath: storedPath, size: size, root: root, inode: inode, modified: modified)
    }

    /// Whoever can write the folder can write the journal: its names are checked like a peer's.
    private static func components(_ text: String) -> [String]? {
        let path = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        // A line that names no usable file is none.
        return try? TransferName.checked(path: path)
    }
}
