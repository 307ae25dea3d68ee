import Foundation
import Testing

/// Lines of a vector file, in fields; `#` starts a comment.
func vectorLines(_ name: String) throws -> [[String]] {
    let folder = try #require(Bundle.module.resourceURL)
    let bytes = try Data(contentsOf: folder.appendingPathComponent("Vectors/\(name)"))
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").filter { !$0.hasPrefix("#") }
        .map { $0.split(separator: " ").map(String.init) }
}
