/// The file that keeps a node's identity: a PKCS#8 PEM that `openssl pkey` reads, encrypted when there is a passphrase.
///
/// Paths are bytes as the system has them, without a zero byte; the `String` forms are for paths known to be text.
public enum IdentityFile {
    /// The longest passphrase, in bytes.
    package static let maximumPassphraseLength = 1024

    private static let what = "identity file"

    /// Reads a key from a regular file that nobody but its owner may read.
    ///
    /// - Throws: `fileMissing`, `fileIsDirectory`, `fileIsSymbolicLink`, `fileNotRegular`, `fileUnreadable`,
    ///   `fileTooOpen` (group or others can read it), and what ``key(pem:passphrase:)`` throws.
    package static func load(path: [UInt8], passphrase: [UInt8]? = nil) throws(IdentityError) -> IdentityKey {
        var text = try SecretFile.read(path, what: what)
        defer { wipe(&text) }
        return try key(pem: text, passphrase: passphrase, name: "\(what) \(SecretFile.shown(path))")
    }

    public static func load(path: String, passphrase: [UInt8]? = nil) throws(IdentityError) -> IdentityKey {
        try load(path: [UInt8](path.utf8), passphrase: passphrase)
    }

    /// Writes a key to a new file of mode 0600, its missing directories with mode 0700. The file appears whole or not
    /// at all, and is on disk when this returns.
    ///
    /// - Parameter replace: exchange an existing regular file instead of failing with `fileExists`.
    /// - Throws: `fileExists`, `cannotCreate`, and for `replace` the errors about what is no regular file.
    package static func create(
        _ key: IdentityKey, path: [UInt8], passphrase: [UInt8]? = nil, replace: Bool = false
    ) throws(IdentityError) {
        var text = try pem(key, passphrase: passphrase)
        defer { wipe(&text) }
        try SecretFile.create(path, contents: text, replace: replace, what: what)
    }

    /// As a file that others may not read, `path` in text.
    public static func create(
        _ key: IdentityKey, path: String, passphrase: [UInt8]? = nil, replace: Bool = false
    ) throws(IdentityError) {
        try create(key, path: [UInt8](path.utf8), passphrase: passphrase, replace: replace)
    }

    /// The PEM text: `PRIVATE KEY`, or `ENCRYPTED PRIVATE KEY` (PBES2 with scrypt and AES-256-CBC) under a passphrase.
    ///
    /// - Throws: `emptyPassphrase`, `limitExceeded` for a passphrase above 1024 bytes.
    package static func pem(_ key: IdentityKey, passphrase: [UInt8]? = nil) throws(IdentityError) -> [UInt8] {
        guard let passphrase else {
            var der = PKCS8.encode(key)
            defer { wipe(&der) }
            return PEM.encode(label: PKCS8.plainLabel, der)
        }
        try check(passphrase)
        do {
            return PEM.encode(label: PKCS8.encryptedLabel, try PKCS8.encrypt(key, passphrase: passphrase))
        } catch {
            throw IdentityError(.systemCall, "OpenSSL could not encrypt the identity")
        }
    }

    /// Reads what ``pem(_:passphrase:)`` or `openssl genpkey -algorithm ed25519` wrote. A passphrase for a file that is
    /// not encrypted is not used.
    ///
    /// - Throws: `fileCorrupt`, `fileTruncated`, `fileOfOtherKeyType`, `passphraseRequired`, `wrongPassphrase`,
    ///   `emptyPassphrase`.
    package static func key(pem text: [UInt8], passphrase: [UInt8]? = nil) throws(IdentityError) -> IdentityKey {
        try key(pem: text, passphrase: passphrase, name: "the identity")
    }

    private static func key(
        pem text: [UInt8], passphrase: [UInt8]?, name: String
    ) throws(IdentityError) -> IdentityKey {
        var (label, contents) = try block(text, name)
        defer { wipe(&contents) }
        do throws(PKCS8.Failure) {
            if label == PKCS8.plainLabel { return try PKCS8.decode(contents) }
        } catch {
            throw identityError(error, name)
        }
        guard let passphrase else {
            throw IdentityError(
                .passphraseRequired, "\(name) is encrypted", remedy: .givePassphrase)
        }
        try check(passphrase)
        do {
            return try PKCS8.decrypt(contents, passphrase: passphrase)
        } catch {
            throw identityError(error, name)
        }
    }

    private static func block(_ text: [UInt8], _ name: String) throws(IdentityError) -> (String, [UInt8]) {
        do {
            return try PEM.decode(text, labels: [PKCS8.plainLabel, PKCS8.encryptedLabel])
        } catch {
            switch error {
            case .noBeginning: throw IdentityError(.fileCorrupt, "\(name) is not a PEM private key")
            case .otherLabel(let label): throw otherType(label, name)
            case .truncated: throw IdentityError(.fileTruncated, "\(name) is cut short: its END line is missing")
            case .damaged: throw IdentityError(.fileCorrupt, "\(name) is damaged: its base64 is not valid")
            }
        }
    }

    private static func identityError(_ failure: PKCS8.Failure, _ name: String) -> IdentityError {
        switch failure {
        case .malformed: IdentityError(.fileCorrupt, "\(name) is damaged: it holds no PKCS#8 key")
        case .otherKey(let kind): otherType(kind, name)
        case .wrongPassphrase: IdentityError(.wrongPassphrase, "the passphrase does not open \(name)")
        case .library: IdentityError(.systemCall, "OpenSSL could not read \(name)")
        }
    }

    private static func otherType(_ kind: String, _ name: String) -> IdentityError {
        IdentityError(
            .fileOfOtherKeyType, "\(name) holds another type of key (\(kind)), not an Ed25519 private key",
            remedy: .makeIdentity)
    }

    private static func check(_ passphrase: [UInt8]) throws(IdentityError) {
        guard !passphrase.isEmpty else { throw IdentityError(.emptyPassphrase, "the passphrase is empty") }
        guard passphrase.count <= maximumPassphraseLength else {
            throw IdentityError(
                .limitExceeded,
                "a passphrase of \(passphrase.count) bytes is over the limit of \(maximumPassphraseLength)")
        }
    }
}
