import Glibc

/// A folder of its own for one test, below the temporary directory; gone, with everything in it, when the test lets go
/// of it.
package final class TemporaryFolder: Sendable {
    package struct Failure: Error {
        let path: String
        let code: Int32
    }

    package let path: String

    /// - Parameter inMemory: below `/dev/shm` where there is one, for what writes much and is not about the disk.
    package init(inMemory: Bool = false) throws {
        let isInMemory = inMemory && access("/dev/shm", W_OK) == 0
        let parent = isInMemory ? "/dev/shm" : getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/dep2p-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw Failure(path: parent, code: errno) }
        path = String(cString: made)
    }

    deinit { Self.remove(path.utf8CString.dropLast()) }

    /// Links are removed, not followed. A name may be bytes that are no text.
    private static func remove(_ path: ArraySlice<CChar>) {
        let terminated = Array(path) + [0]
        if unlink(terminated) == 0 || errno == ENOENT { return }
        for name in entries(of: terminated) { remove(path + [CChar(bitPattern: UInt8(ascii: "/"))] + name) }
        rmdir(terminated)
    }

    private static func entries(of folder: [CChar]) -> [[CChar]] {
        guard let listing = opendir(folder) else { return [] }
        defer { closedir(listing) }
        var names: [[CChar]] = []
        while let entry = readdir(listing) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                $0.prefix { $0 != 0 }.map { CChar(bitPattern: $0) }
            }
            if ![".", ".."].contains(text(name)) { names.append(name) }
        }
        return names
    }

    private static func text(_ name: [CChar]) -> String {
        String(decoding: name.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// What is in a folder, sorted; nothing where there is none.
    package static func names(in folder: String) -> [String] {
        entries(of: Array(folder.utf8CString)).map(text).sorted()
    }
}
