import DeP2PIdentity
import Glibc
import Testing

@testable import DeP2PCLI

@Suite struct ErrorMappingTests {
    @Test(arguments: IdentityError.Code.allCases)
    func everyIdentityErrorHasACodeOfTheTable(_ code: IdentityError.Code) {
        let error = IdentityError(code, "what \u{1b}[31m it says", remedy: .advice("a hint"))
        for mapped in [CLIError(reading: error), CLIError(writing: error)] {
            #expect(CLIError.Code.all.contains(mapped.code))
            #expect(mapped.code.status != .internalError && mapped.code.status != .ok)
            #expect(mapped.message == "what \\u{1b}[31m it says")
            #expect(mapped.hint == "a hint")
        }
    }

    @Test(arguments: [
        (IdentityError.Code.malformedNodeID, DeP2PCLI.ExitStatus.badData), (.fileCorrupt, .badData),
        (.wrongPassphrase, .badData),
        (.fileMissing, .inputMissing), (.fileUnreadable, .inputMissing), (.fileTooOpen, .permission),
        (.fileExists, .cannotCreate), (.badSignature, .protocolViolation), (.systemCall, .osError),
    ])
    func statuses(_ code: IdentityError.Code, _ status: DeP2PCLI.ExitStatus) {
        #expect(CLIError(reading: IdentityError(code, "")).code.status == status)
    }

    @Test func aFullDiskCannotCreate() {
        let error = IdentityError(.cannotCreate, "", systemError: ENOSPC)
        #expect(CLIError(writing: error).code == .noSpace)
    }
}
