import DeP2P

/// Gives back the code that only a start needs.
///
/// Whatever code has run stays mapped into the process and counts as its memory, and with every page of it those around it: of an
/// idle node's 25 MiB that was 11. Code is the file's own and unchanged, so that what is used again is mapped again from the
/// page cache, at a microsecond or two for 64 KiB. Once, a while after the start: what runs from then on stays.
enum StartMemory {
    /// When nothing of the start is under way any more.
    static let delay = Duration.seconds(5)
    /// The longest table of mappings that is read.
    private static let limit = 256 * 1024

    static func releaseLater(on clock: any NetworkClock) -> Task<Void, Never> {
        networkTask {
            // Cancelled: the command ends.
            guard (try? await clock.sleep(for: delay)) != nil else { return }
            // The same.
            try? await offload { release() }
        }
    }

    static func release() {
        // Where there is no such table nothing is given back, which nobody misses.
        let table = try? FileReading.read(Array("/proc/self/maps".utf8), limit: limit, what: "table")
        guard let table else { return }
        // Read-only pages of files, which nothing has written to.
        ProcessMemory.release(filePages: code(in: String(decoding: table, as: UTF8.self)))
    }

    /// The address ranges of files that are mapped to be run and can't be written to: pure (proc_pid_maps(5)).
    static func code(in table: String) -> [Range<UInt>] {
        table.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
            let bounds = fields.first?.split(separator: "-") ?? []
            guard fields.count == 6, fields[1] == "r-xp", fields[5].drop(while: { $0 == " " }).hasPrefix("/"),
                bounds.count == 2, let start = UInt(bounds[0], radix: 16), let end = UInt(bounds[1], radix: 16),
                start < end
            else { return nil }
            return start..<end
        }
    }
}
