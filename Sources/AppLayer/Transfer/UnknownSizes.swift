internal import CDeP2PSystem
internal import DeP2PQUIC
internal import Glibc

/// Files whose size is known only once they have been read: those of the kernel's file systems, for which stat(2) says 0
/// or the size of a page, and those of 0 bytes, as some FUSE file systems know no sizes either.
///
/// They are read when they are found. Small ones are kept and sent as what they were then; one that is larger is sent as
/// a stream, of which a transfer takes one.
struct UnknownSizes {
    enum Content {
        case bytes([UInt8])
        case stream
    }

    /// Bytes of one file that are kept, and of all of them.
    static let mostBytes = 1 << 20
    static let mostBytesInAll = 16 << 20

    private var kept = 0
    private var hasStream = false
    /// Whether a device's file system is one of the kernel's own.
    private var devices: [UInt64: Bool] = [:]

    /// Whether the file must be read to know its size.
    mutating func isDoubtful(_ status: FileStatus, _ name: [UInt8], in folder: Descriptor?) -> Bool {
        if status.size == 0 { return true }
        if let known = devices[status.device] { return known }
        let isKernels = name.withCString { dep2p_is_kernel_file(folder?.number ?? AT_FDCWD, $0) } != 0
        devices[status.device] = isKernels
        return isKernels
    }

    /// - Throws: `.fileAccess`; `.badOffer` is not thrown, a file too many is `.fileAccess` too.
    mutating func read(_ name: [UInt8], in folder: Descriptor?, shown: String) throws(TransferError) -> Content {
        let descriptor: Descriptor
        switch Descriptor.open(name, in: folder, flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK) {
        case .success(let opened): descriptor = opened
        case .failure(let error): throw TransferError(.fileAccess, "\(shown): \(error)", underlying: error)
        }
        let limit = min(Self.mostBytes, Self.mostBytesInAll - kept)
        var bytes: [UInt8] = []
        var chunk = Chunk(capacity: Self.step)
        while bytes.count <= limit {
            switch chunk.read(from: descriptor.number, at: nil) {
            case .success(0):
                kept += bytes.count
                return .bytes(bytes)
            case .success:
                bytes += chunk.array()
                chunk = Chunk(capacity: Chunk.pooledCapacity)
            case .failure(let error):
                throw TransferError(.fileAccess, "\(shown): reading failed: \(error)", underlying: error)
            }
        }
        guard !hasStream else {
            let message = "its size is not known before it is read, and one such file is sent at a time"
            throw TransferError(.fileAccess, "\(shown): \(message)")
        }
        hasStream = true
        return .stream
    }

    /// Enough for nearly all of them.
    private static let step = 4096
}
