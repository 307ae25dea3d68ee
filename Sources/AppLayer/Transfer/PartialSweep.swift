internal import Glibc
internal import Synchronization

/// Looks through an output folder for partial files that no transfer has open: to remove those that nobody continued for
/// ``TransferLimits/partialAge``, or the oldest ones when room is needed.
///
/// Bounded by ``TransferLimits/sweepEntries``; symlinks are not followed.
struct PartialSweep {
    struct Leftover {
        let folder: [String]
        let name: String
        let bytes: UInt64
        /// Seconds since 1970.
        let modified: Int64
    }

    private let folder: FolderHandle
    private let pulse = TransferPulse()
    private var leftovers: [Leftover] = []
    private var seen = 0

    init(_ folder: FolderHandle) {
        self.folder = folder
    }

    /// Removes what is older than the limit; at most once an hour for each folder.
    static func removeAged(from folder: FolderHandle, now: Int64 = wallClockSeconds()) {
        let last = folder.lastSweep.load(ordering: .relaxed)
        guard now < last || now - last >= 3600 else { return }
        folder.lastSweep.store(now, ordering: .relaxed)
        var sweep = PartialSweep(folder)
        for leftover in sweep.find() where now > leftover.modified {
            guard now - leftover.modified >= TransferLimits.partialAge else { continue }
            _ = sweep.remove(leftover)
        }
    }

    /// Bytes of the leftovers that could be removed now, but those named in `keeping`.
    static func leftoverBytes(in folder: FolderHandle, keeping: Set<String>) -> UInt64 {
        var sweep = PartialSweep(folder)
        return sweep.find().reduce(0) { sum, leftover in
            guard leftover.bytes > 0, !keeping.contains(leftover.name), sweep.open(leftover) != nil else { return sum }
            return sum + min(leftover.bytes, .max - sum)
        }
    }

    /// Removes the oldest leftovers, though not those named in `keeping`, until `isEnough`.
    static func makeRoom(in folder: FolderHandle, keeping: Set<String>, until isEnough: () -> Bool) {
        var sweep = PartialSweep(folder)
        for leftover in sweep.find().sorted(by: { $0.modified < $1.modified }) where leftover.bytes > 0 {
            guard !isEnough() else { return }
            if !keeping.contains(leftover.name) { _ = sweep.remove(leftover) }
        }
    }

    // MARK: Looking

    mutating func find() -> [Leftover] {
        var pending: [[String]] = [[]]
        while let path = pending.popLast(), seen < TransferLimits.sweepEntries {
            // What can't be read is left: it is another day's, or another user's.
            // Opened once more: a listing moves the position of what it reads.
            guard let place = try? folder.directory(path[...], create: false),
                case .success(let again) = Descriptor.openDirectory([UInt8(ascii: ".")], in: place.descriptor),
                let listing = fdopendir(fcntl(again.number, F_DUPFD_CLOEXEC, 0))
            else { continue }
            defer { closedir(listing) }
            while seen < TransferLimits.sweepEntries, let entry = readdir(listing) {
                seen += 1
                let bytes = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
                guard bytes != [0x2e], bytes != [0x2e, 0x2e], let name = String(validating: bytes, as: UTF8.self) else {
                    continue
                }
                if TransferName.isReserved(name) {
                    note(name, bytes, in: place)
                } else if path.count < TransferLimits.depth, isFolder(entry.pointee.d_type, bytes, in: place) {
                    pending.append(path + [name])
                }
            }
        }
        return leftovers
    }

    private func isFolder(_ type: UInt8, _ name: [UInt8], in place: FolderHandle.Place) -> Bool {
        if type != DT_UNKNOWN { return type == DT_DIR }
        guard case .success(let status) = place.descriptor.status(of: name) else { return false }
        return status.kind == .directory
    }

    private mutating func note(_ name: String, _ bytes: [UInt8], in place: FolderHandle.Place) {
        guard case .success(let status) = place.descriptor.status(of: bytes), status.kind == .file,
            let modified = status.modified
        else { return }
        leftovers.append(
            Leftover(
                folder: place.path, name: name, bytes: min(status.size, status.allocated),
                modified: modified / 1_000_000_000))
    }

    // MARK: Removing

    /// False when a transfer has the file open, or it can't be opened: then it stays, and its room does not count.
    private func remove(_ leftover: Leftover) -> Bool {
        guard let file = open(leftover) else { return false }
        file.removeName()
        return true
    }

    /// `nil` when a transfer has the file open, or it can't be opened.
    private func open(_ leftover: Leftover) -> PartialFile? {
        // What can't be opened is another user's, or has been removed meanwhile.
        guard let place = try? folder.directory(leftover.folder[...], create: false),
            let opened = try? PartialFile.open(leftover.name, in: place.descriptor, create: false, pulse: pulse),
            case .partial(let file, _) = opened
        else { return nil }
        return file
    }

    static func wallClockSeconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec)
    }
}
