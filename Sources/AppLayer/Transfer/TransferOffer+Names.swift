internal import DeP2PIdentity

extension TransferOffer {
    /// The offer with names as they are made here: in normal form C, and with what would mislead written out.
    ///
    /// - Throws: `.badName` for a name that may not be made, or when two entries have the same.
    func withCheckedNames() throws(TransferError) -> TransferOffer {
        // Most often all names may stay as they are, and the offer with them.
        var changed: TransferEntries?
        var names = PathSet(of: entries)
        for index in entries.indices {
            if TransferName.isPlain(path: entries.components(at: index)) {
                guard names.insert(entries.pathBytes(at: index), at: index) else { throw twice(index) }
                changed?.append(at: index, of: entries)
                continue
            }
            let entry = entries[index]
            let path = try TransferName.checked(path: entry.path)
            guard names.insert(TransferEntries.bytes(of: path)[...], at: index) else { throw twice(index) }
            var checked = changed ?? entries.first(index)
            changed = nil
            checked.append(
                TransferEntry(
                    kind: entry.kind, path: TransferName.onDisk(path: path), size: entry.size,
                    isExecutable: entry.isExecutable, modified: entry.modified, dataSize: entry.dataSize))
            changed = checked
        }
        guard let changed else { return self }
        return try TransferOffer(entries: changed)
    }

    private func twice(_ index: Int) -> TransferError {
        TransferError(.badName, "two files are named \"\(entries[index].name)\"")
    }
}

/// Paths seen, as places of entries in a table by hash: a hundred thousand paths as strings would take as much as the
/// offer.
private struct PathSet {
    private let entries: TransferEntries
    /// An entry's index and one more, or 0; at least twice as many places as entries.
    private var places: [UInt32]

    init(of entries: TransferEntries) {
        self.entries = entries
        var count = 16
        while count < entries.count * 2 { count *= 2 }
        places = Array(repeating: 0, count: count)
    }

    /// False when an entry before has the same path in normal form C.
    ///
    /// - Parameter path: that of the entry `index`, in that form, as ``TransferEntries/pathBytes(at:)``.
    mutating func insert(_ path: ArraySlice<UInt8>, at index: Int) -> Bool {
        var place = hash(path) & (places.count - 1)
        while places[place] > 0 {
            guard normalPath(of: Int(places[place]) - 1) != path else { return false }
            place = (place + 1) & (places.count - 1)
        }
        places[place] = UInt32(index + 1)
        return true
    }

    private func normalPath(of index: Int) -> ArraySlice<UInt8> {
        guard !TransferName.isPlain(path: entries.components(at: index)),
            // A name that is refused equals none, and is not here.
            let path = try? TransferName.checked(path: entries[index].path)
        else { return entries.pathBytes(at: index) }
        return TransferEntries.bytes(of: path)[...]
    }

    /// With the seed of this process, which nobody outside knows.
    private func hash(_ path: ArraySlice<UInt8>) -> Int {
        var hasher = Hasher()
        path.withUnsafeBytes { hasher.combine(bytes: $0) }
        return hasher.finalize()
    }
}

extension HeldPage {
    /// The claims in frames; one page at least.
    static func pages(_ files: [HeldFile], takesZeros: Bool) -> [HeldPage] {
        var pages: [HeldPage] = []
        var page = HeldPage(files: [], more: true, takesZeros: takesZeros)
        var bytes = 0
        for file in files {
            bytes += file.encodedSize
            if bytes > TransferLimits.frame / 2, !page.files.isEmpty {
                pages.append(page)
                page.files = []
                bytes = file.encodedSize
            }
            page.files.append(file)
        }
        page.more = false
        pages.append(page)
        return pages
    }
}
