internal import DeP2PReactor
internal import Glibc

/// The room that a file system says it has.
struct FileSystemRoom: Equatable, Sendable {
    let device: UInt64
    let freeBytes: UInt64
    /// What a file takes at least, and its size is rounded up to.
    let blockSize: UInt64

    init?(of descriptor: Descriptor) {
        var status = statvfs()
        guard fstatvfs(descriptor.number, &status) == 0, status.f_blocks > 0,
            case .success(let file) = descriptor.status()
        else { return nil }
        let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        guard !overflow else { return nil }
        self.init(device: file.device, freeBytes: bytes, blockSize: UInt64(status.f_frsize))
    }

    /// The same with more bytes free.
    func adding(_ bytes: UInt64) -> FileSystemRoom {
        let (sum, overflow) = freeBytes.addingReportingOverflow(bytes)
        return FileSystemRoom(device: device, freeBytes: overflow ? .max : sum, blockSize: blockSize)
    }

    init(device: UInt64, freeBytes: UInt64, blockSize: UInt64) {
        (self.device, self.freeBytes, self.blockSize) = (device, freeBytes, blockSize)
    }

    /// What a file of `size` bytes takes; at most what 64 bits hold.
    func taken(by size: UInt64) -> UInt64 {
        guard blockSize > 1, !size.isMultiple(of: blockSize) else { return size }
        let (sum, overflow) = size.addingReportingOverflow(blockSize - size % blockSize)
        return overflow ? .max : sum
    }
}
