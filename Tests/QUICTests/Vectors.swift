import DeP2PIdentity
import Foundation
import Testing

/// Lines of a vector file, in fields; `#` starts a comment.
func vectorLines(_ name: String) throws -> [[String]] {
    try String(decoding: vectorFile(name), as: UTF8.self).split(separator: "\n").filter { !$0.hasPrefix("#") }
        .map { $0.split(separator: " ").map(String.init) }
}

func vectorFile(_ name: String) throws -> [UInt8] {
    let folder = try #require(Bundle.module.resourceURL)
    return Array(try Data(contentsOf: folder.appendingPathComponent("Vectors/\(name)")))
}
