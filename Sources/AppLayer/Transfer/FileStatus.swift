internal import DeP2PQUIC
internal import Glibc

/// What `stat` says of a file, as far as transfers care.
struct FileStatus: Equatable, Sendable {
    enum Kind: Sendable {
        case file
        case directory
        case symlink
        case device
        case pipe
        case socket
    }

    let kind: Kind
    let size: UInt64
    /// Bytes that it takes on the disk.
    let allocated: UInt64
    let isExecutable: Bool
    /// Nanoseconds since 1970; `nil` when 64 bits cannot hold them.
    let modified: Int64?
    let changed: Int64?
    let device: UInt64
    let inode: UInt64
    let links: UInt64
    let owner: UInt32

    init(_ status: stat) {
        kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .file
            case S_IFDIR: .directory
            case S_IFLNK: .symlink
            case S_IFIFO: .pipe
            case S_IFSOCK: .socket
            default: .device
            }
        size = UInt64(clamping: status.st_size)
        let (bytes, overflow) = UInt64(clamping: status.st_blocks).multipliedReportingOverflow(by: 512)
        allocated = overflow ? .max : bytes
        isExecutable = status.st_mode & S_IXUSR != 0
        modified = FileTime(status.st_mtim)?.nanoseconds
        changed = FileTime(status.st_ctim)?.nanoseconds
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        links = UInt64(status.st_nlink)
        owner = status.st_uid
    }

    /// Whether the same file still has the bytes it had, as far as its times tell.
    func isUnchanged(since earlier: FileStatus) -> Bool {
        (device, inode, size, modified) == (earlier.device, earlier.inode, earlier.size, earlier.modified)
    }
}
