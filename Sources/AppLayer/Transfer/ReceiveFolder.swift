internal import DeP2PQUIC
internal import Glibc
internal import Synchronization

/// The folder that files are received into, by its name: a cleaner may make it anew, and a disk may be mounted over it.
/// Each transfer takes what the name stands for when it begins (``open()``).
package final class ReceiveFolder: Sendable {
    private let path: [UInt8]
    private let opened: Mutex<FolderHandle>

    /// Opens the folder `path`, making it (not its parents) when it is missing.
    ///
    /// - Throws: ``TransferError`` `.fileAccess`.
    package init(path: [UInt8]) throws(TransferError) {
        self.path = path
        do throws(FileError) {
            opened = Mutex(try Self.open(path))
        } catch {
            let shown = path.isEmpty ? "\"\"" : String(decoding: path, as: UTF8.self)
            throw TransferError(.fileAccess, "\(shown): \(error)", underlying: error)
        }
    }

    package convenience init(path: String) throws(TransferError) {
        try self.init(path: Array(path.utf8))
    }

    /// What the name stands for now; made again when it is gone.
    ///
    /// - Throws: ``TransferError`` `.fileAccess`, in words that a peer may read: without the path.
    func open() throws(TransferError) -> FolderHandle {
        let result: Result<FolderHandle, FileError> = opened.withLock { handle in
            if handle.isAtItsPath { return .success(handle) }
            do throws(FileError) {
                handle = try Self.open(path)
                return .success(handle)
            } catch {
                return .failure(error)
            }
        }
        switch result {
        case .success(let handle): return handle
        case .failure(let error):
            throw TransferError(.fileAccess, "the output folder cannot be opened: \(error)", underlying: error)
        }
    }

    private static func open(_ path: [UInt8]) throws(FileError) -> FolderHandle {
        _ = path.withCString { mkdir($0, 0o700) }
        // The user named this one: here a symlink is followed.
        return FolderHandle(
            try Descriptor.open(path, in: nil, flags: O_RDONLY | O_DIRECTORY).get(), path: path)
    }
}
