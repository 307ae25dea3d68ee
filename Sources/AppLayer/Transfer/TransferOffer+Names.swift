internal import DeP2PIdentity

extension TransferOffer {
    /// The offer with names as they are made here: in normal form C, and with what would mislead written out.
    ///
    /// - Throws: `.badName` for a name that may not be made, or when two entries have the same.
    func withCheckedNames() throws(TransferError) -> TransferOffer {
        var checked = TransferEntries()
        var names = PathSet()
        for index in entries.indices {
            let entry = entries[index]
            let path = try TransferName.checked(path: entry.path)
            guard names.insert(path, at: index, of: entries) else {
                throw TransferError(.badName, "two files are named \"\(entry.name)\"")
            }
            checked.append(
                TransferEntry(
                    kind: entry.kind, path: TransferName.onDisk(path: path), size: entry.size,
                    isExecutable: entry.isExecutable, modified: entry.modified, dataSize: entry.dataSize))
        }
        return try TransferOffer(entries: checked)
    }
}

/// Paths seen, as hashes: a hundred thousand paths as arrays of strings would take as much as the offer.
private struct PathSet {
    private var indices: [Int: Int] = [:]

    /// False when an entry before has the same path in normal form C.
    mutating func insert(_ path: [String], at index: Int, of entries: TransferEntries) -> Bool {
        var key = hash(path)
        while let other = indices[key] {
            // A name that is refused equals none.
            guard (try? TransferName.checked(path: entries[other].path)) != path else { return false }
            key &+= 1
        }
        indices[key] = index
        return true
    }

    /// With the seed of this process, which nobody outside knows.
    private func hash(_ path: [String]) -> Int {
        var hasher = Hasher()
        hasher.combine(path)
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
