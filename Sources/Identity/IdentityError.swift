/// What was wrong with a key, an identifier, an address, a signed record or a key file. Equal by code.
public struct IdentityError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable, CaseIterable {
        // Identifiers and addresses
        case malformedNodeID
        case malformedPublicKey
        case unsupportedKeyType
        case malformedAddress
        case malformedRealmKey
        // Signed records
        case malformedRecord
        case badSignature
        case wrongSigner
        case limitExceeded
        // Key material
        case malformedSeed
        case emptyPassphrase
        case passphraseRequired
        case wrongPassphrase
        // Key files
        case fileMissing
        case fileExists
        case fileUnreadable
        case fileTooOpen
        case fileIsDirectory
        case fileIsSymbolicLink
        case fileNotRegular
        case fileEmpty
        case fileCorrupt
        case fileTruncated
        case fileOfOtherKeyType
        case cannotCreate
        case systemCall
    }

    public let code: Code
    /// One sentence, lower case, no full stop. May quote input: escape it before it reaches a terminal.
    public let message: String
    /// What can be done about it, when there is something.
    public let remedy: Remedy?
    /// The `errno` of the system call that failed, when one did.
    package let systemError: Int32?

    package init(_ code: Code, _ message: String, remedy: Remedy? = nil, systemError: Int32? = nil) {
        self.code = code
        self.message = message
        self.remedy = remedy
        self.systemError = systemError
    }

    public var description: String { message }

    public static func == (left: IdentityError, right: IdentityError) -> Bool {
        left.code == right.code
    }
}
