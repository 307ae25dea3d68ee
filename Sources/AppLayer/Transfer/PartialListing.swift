internal import DeP2PQUIC
internal import Glibc

/// Which names of partial files a folder has, read at once: of a folder of many files each would be looked for in vain.
///
/// Folders are asked about in the order of an offer, where what lies in one comes together; the last one is remembered.
/// An offer that goes back and forth between folders with many files is no reason to read them for ever: beyond so many
/// names every partial file counts as perhaps there.
struct PartialListing {
    private let limit: Int
    private var read = 0
    private var last: (folder: Descriptor, names: Set<String>)?

    /// - Parameter limit: names that are read in all.
    init(limit: Int = TransferLimits.listedNames) {
        self.limit = limit
    }

    /// Whether a name of a partial file in `folder` has to be looked for.
    mutating func mayHold(_ name: @autoclosure () -> String, in folder: Descriptor) -> Bool {
        guard let names = names(in: folder) else { return true }
        return !names.isEmpty && names.contains(name())
    }

    /// Whether a name of a partial file in `folder` is known to be there.
    mutating func holds(_ name: @autoclosure () -> String, in folder: Descriptor) -> Bool {
        guard let names = names(in: folder), !names.isEmpty else { return false }
        return names.contains(name())
    }

    /// `nil` when they cannot be read, or are too many.
    private mutating func names(in folder: Descriptor) -> Set<String>? {
        if let last, last.folder === folder { return last.names }
        last = nil
        // Opened once more: a listing moves the position of what it reads.
        guard read < limit, case .success(let again) = Descriptor.openDirectory([UInt8(ascii: ".")], in: folder),
            let listing = fdopendir(fcntl(again.number, F_DUPFD_CLOEXEC, 0))
        else { return nil }
        defer { closedir(listing) }
        var names: Set<String> = []
        errno = 0
        while let entry = readdir(listing) {
            read += 1
            guard read <= limit else { return nil }
            if let name = Self.partialName(entry) { names.insert(name) }
            errno = 0
        }
        guard errno == 0 else { return nil }
        last = (folder, names)
        return names
    }

    private static func partialName(_ entry: UnsafeMutablePointer<dirent>) -> String? {
        guard entry.pointee.d_name.0 == CChar(bitPattern: UInt8(ascii: ".")) else { return nil }
        let bytes = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
        guard let name = String(validating: bytes, as: UTF8.self), TransferName.isReserved(name) else { return nil }
        return name
    }
}
