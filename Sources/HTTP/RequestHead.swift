/// Reads the head of an HTTP/1 request (RFC 9112), strictly: whoever writes to a port of this machine by hand or by browser
/// writes it so. Pure.
enum RequestHead {
    enum Reading: Equatable, Sendable {
        /// More may come.
        case incomplete
        case head(RequestRules.Head)
        /// It is none, or too long: with the status to answer.
        case refused(status: Int, String)
    }

    private static let junk = Reading.refused(status: 400, "this is no HTTP request")

    /// - Parameters:
    ///   - bytes: everything that has come so far.
    ///   - limits: how long a head may be.
    static func read(_ bytes: [UInt8], limits: LocalHTTPServer.Limits) -> Reading {
        guard let first = bytes.first else { return .incomplete }
        // What is of another protocol shows at once.
        guard (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(first) else { return junk }
        guard let end = end(of: bytes) else {
            return bytes.count > limits.headBytes ? tooLong(limits) : .incomplete
        }
        guard end <= limits.headBytes else { return tooLong(limits) }
        guard let text = String(validating: bytes[..<end], as: UTF8.self) else { return junk }
        let lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
        guard lines.count - 1 <= limits.headFields else { return tooLong(limits) }
        return parse(lines)
    }

    private static func tooLong(_ limits: LocalHTTPServer.Limits) -> Reading {
        .refused(status: 431, "a head has at most \(limits.headBytes) bytes in \(limits.headFields) fields")
    }

    /// Where the empty line begins that ends the head.
    private static func end(of bytes: [UInt8]) -> Int? {
        let mark = Array("\r\n\r\n".utf8)
        guard bytes.count >= mark.count else { return nil }
        return (0...bytes.count - mark.count).first { bytes[$0] == mark[0] && bytes[$0..<$0 + 4].elementsEqual(mark) }
    }

    private static func parse(_ lines: [Substring]) -> Reading {
        let words = lines[0].split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, words[2] == "HTTP/1.1" || words[2] == "HTTP/1.0", !words[1].isEmpty,
            lines.allSatisfy({ $0.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 } })
        else { return junk }
        var head = RequestRules.Head(method: String(words[0]), target: String(words[1]))
        for line in lines.dropFirst() {
            // No folded lines, and no blank before the colon (sections 5.1 and 5.2).
            guard let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")), isToken(line[..<colon]) else { return junk }
            let value = line[line.utf8.index(after: colon)...].trimmed
            switch line[..<colon].lowercased() {
            case "host": head.hosts.append(String(value))
            case "content-length": head.hasBody = head.hasBody || value != "0"
            case "transfer-encoding": head.hasBody = true
            default: break
            }
        }
        return .head(head)
    }

    /// RFC 9110 section 5.6.2.
    private static func isToken(_ text: Substring) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }
}

extension Substring {
    /// Without blanks and tabs at its ends.
    fileprivate var trimmed: Substring {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        let start = drop(while: isBlank)
        guard let last = start.lastIndex(where: { !isBlank($0) }) else { return start[start.endIndex...] }
        return start[...last]
    }
}
