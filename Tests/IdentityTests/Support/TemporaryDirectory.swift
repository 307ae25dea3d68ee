import DeP2PSimulation
import DeP2PTestSupport
import Foundation
import Glibc
import Testing

@testable import DeP2PIdentity

/// A directory of its own for one test, removed with everything in it.
final class TemporaryDirectory {
    private let temporary: TemporaryFolder
    var path: String { temporary.path }

    init() throws { temporary = try TemporaryFolder() }

    func file(_ name: String) -> String { path + "/" + name }

    /// Puts a file there with a mode, whatever the umask.
    @discardableResult
    func put(_ name: String, _ contents: [UInt8], mode: mode_t = 0o600) throws -> String {
        try #require(FileManager.default.createFile(atPath: file(name), contents: Data(contents)))
        try #require(chmod(file(name), mode) == 0)
        return file(name)
    }

    func contents(_ name: String) -> [UInt8]? {
        FileManager.default.contents(atPath: file(name)).map { [UInt8]($0) }
    }

    var names: [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: path).sorted()) ?? []
    }

    func mode(_ name: String) -> mode_t {
        var status = stat()
        return lstat(file(name), &status) == 0 ? status.st_mode & 0o7777 : 0
    }
}

/// Runs the `openssl` command and gives what it printed. Fails the test when the command does.
func openssl(_ arguments: String...) throws -> [UInt8] {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["openssl"] + arguments
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let printed = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "openssl \(arguments.joined(separator: " "))")
    return [UInt8](printed)
}
