import DeP2P

/// A realm key from where the user has it.
enum RealmKeyFile {
    private static let maximumBytes = 4096

    /// - Parameter path: `-` is standard input.
    static func load(_ path: [UInt8]) throws(CLIError) -> RealmKey {
        let isDash = path == [UInt8(ascii: "-")]
        var input = isDash ? try FileReading.read(path, limit: maximumBytes, what: "realm key") : []
        defer { wipe(&input) }
        do {
            return isDash ? try RealmKey(text: input) : try RealmKey.load(path: path)
        } catch {
            throw CLIError(reading: error)
        }
    }
}
