internal import CSodium

/// The textual encoding of keys (RFC 7468): one labelled block of base64.
enum PEM {
    enum Failure: Error, Equatable {
        /// No `-----BEGIN …-----` line.
        case noBeginning
        /// Another kind of block than the ones asked for.
        case otherLabel(String)
        /// A beginning without its end.
        case truncated
        /// Not base64 between the lines.
        case damaged
    }

    private static let lineLength = 64

    /// The first block of a text, whatever stands before and after it, if it has one of `labels`. The caller wipes the
    /// contents.
    static func decode(_ text: [UInt8], labels: [String]) throws(Failure) -> (label: String, contents: [UInt8]) {
        let lines = text.split { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
        guard let begin = lines.firstIndex(where: { label($0, "BEGIN") != nil }),
            let label = label(lines[begin], "BEGIN")
        else { throw .noBeginning }
        guard labels.contains(label) else { throw .otherLabel(label) }
        guard let end = lines[begin...].firstIndex(where: { self.label($0, "END") == label }) else { throw .truncated }
        var body = [UInt8](lines[(begin + 1)..<end].joined())
        defer { wipe(&body) }
        guard let contents = base64(body) else { throw .damaged }
        return (label, contents)
    }

    static func encode(label: String, _ contents: [UInt8]) -> [UInt8] {
        let variant = sodium_base64_VARIANT_ORIGINAL
        let length = sodium_base64_encoded_len(contents.count, variant)
        var digits = [CChar](repeating: 0, count: length)
        sodium_bin2base64(&digits, length, contents, contents.count, variant)
        // The last one is C's zero.
        var body = digits.dropLast().map(UInt8.init(bitPattern:))
        defer {
            wipe(&digits)
            wipe(&body)
        }
        var text = [UInt8]("-----BEGIN \(label)-----\n".utf8)
        text.reserveCapacity(body.count * 2 + 128)
        for start in stride(from: 0, to: body.count, by: lineLength) {
            text += body[start..<min(start + lineLength, body.count)]
            text.append(UInt8(ascii: "\n"))
        }
        text += "-----END \(label)-----\n".utf8
        return text
    }

    private static func label(_ line: ArraySlice<UInt8>, _ boundary: String) -> String? {
        let (front, back) = ([UInt8]("-----\(boundary) ".utf8), [UInt8]("-----".utf8))
        let line = line.prefix((line.lastIndex { $0 != UInt8(ascii: " ") } ?? line.startIndex) - line.startIndex + 1)
        guard line.count > front.count + back.count, line.starts(with: front), line.suffix(5).elementsEqual(back)
        else { return nil }
        return String(decoding: line.dropFirst(front.count).dropLast(back.count), as: UTF8.self)
    }

    private static func base64(_ text: [UInt8]) -> [UInt8]? {
        var contents = [UInt8](repeating: 0, count: text.count / 4 * 3 + 3)
        var length = 0
        let isBlank = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        var characters = text.filter { !isBlank($0) }
        defer { wipe(&characters) }
        let result = characters.withUnsafeBytes { buffer in
            let digits = buffer.bindMemory(to: CChar.self)
            return sodium_base642bin(
                &contents, contents.count, digits.baseAddress, digits.count, nil, &length, nil,
                sodium_base64_VARIANT_ORIGINAL)
        }
        guard result == 0 else { return nil }
        contents.removeLast(contents.count - length)
        return contents
    }
}
