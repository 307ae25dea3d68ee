extension RealmKey {
    private static let what = "realm key file"

    /// Reads 64 hexadecimal digits from a regular file that nobody but its owner may read.
    ///
    /// - Throws: the errors of ``IdentityFile/load(path:passphrase:)`` about files, `malformedRealmKey`.
    package static func load(path: [UInt8]) throws(IdentityError) -> RealmKey {
        var text = try SecretFile.read(path, what: what)
        defer { wipe(&text) }
        do throws(IdentityError) {
            return try RealmKey(text: text)
        } catch {
            throw IdentityError(error.code, "\(what) \(SecretFile.shown(path)): \(error.message)", remedy: error.remedy)
        }
    }

    public static func load(path: String) throws(IdentityError) -> RealmKey {
        try load(path: [UInt8](path.utf8))
    }

    /// Writes the 64 digits and a newline to a new file of mode 0600, as ``IdentityFile`` writes identities.
    package func create(path: [UInt8], replace: Bool = false) throws(IdentityError) {
        var text = [UInt8](hex.utf8) + [UInt8(ascii: "\n")]
        defer { wipe(&text) }
        try SecretFile.create(path, contents: text, replace: replace, what: Self.what)
    }

    public func create(path: String, replace: Bool = false) throws(IdentityError) {
        try create(path: [UInt8](path.utf8), replace: replace)
    }
}
