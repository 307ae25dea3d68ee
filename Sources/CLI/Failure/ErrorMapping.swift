import DeP2P
import Glibc

extension CLIError {
    /// What reading a key, an identifier or an address failed with.
    init(reading error: IdentityError) {
        self.init(Self.code(reading: error), TerminalText.escape(error.message), hint: error.remedy?.hint)
    }

    /// What writing a key file failed with.
    init(writing error: IdentityError) {
        self.init(Self.code(writing: error), TerminalText.escape(error.message), hint: error.remedy?.hint)
    }

    private static func code(reading error: IdentityError) -> Code {
        switch error.code {
        case .malformedNodeID: .badNodeID
        case .malformedAddress: .badAddress
        case .malformedPublicKey, .unsupportedKeyType, .malformedRealmKey, .malformedSeed, .fileEmpty, .fileCorrupt,
            .fileTruncated, .fileOfOtherKeyType:
            .badKey
        case .malformedRecord, .badSignature, .wrongSigner: .protocolViolation
        case .limitExceeded: .tooLarge
        case .emptyPassphrase, .passphraseRequired, .wrongPassphrase: .badPassphrase
        case .fileMissing, .fileUnreadable, .fileIsDirectory, .fileIsSymbolicLink, .fileNotRegular: .inputMissing
        case .fileTooOpen: .keyFileTooOpen
        case .fileExists: .exists
        case .cannotCreate: .cannotCreate
        case .systemCall: error.systemError == EIO ? .ioError : .osError
        }
    }

    private static func code(writing error: IdentityError) -> Code {
        switch error.code {
        case _ where error.systemError == ENOSPC || error.systemError == EDQUOT: .noSpace
        case .fileIsDirectory, .fileIsSymbolicLink, .fileNotRegular: .cannotCreate
        default: code(reading: error)
        }
    }
}
