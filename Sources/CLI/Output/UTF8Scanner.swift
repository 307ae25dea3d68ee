/// Walks bytes as UTF-8, giving each byte that is part of no scalar by itself.
struct UTF8Scanner {
    enum Piece: Equatable {
        case scalar(Unicode.Scalar)
        case invalid(UInt8)
    }

    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The printable ASCII that follows, up to a quotation mark or a backslash: most of any text, and quickly done with.
    mutating func takePlain() -> ArraySlice<UInt8> {
        let start = position
        while position < bytes.count, Self.isPlain(bytes[position]) { position += 1 }
        return bytes[start..<position]
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte < 0x7f && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    mutating func next() -> Piece? {
        guard position < bytes.count else { return nil }
        let first = bytes[position]
        let length = Self.length(ofSequenceStartingWith: first)
        if length == 1 {
            position += 1
            return first < 0x80 ? .scalar(Unicode.Scalar(first)) : .invalid(first)
        }
        let end = min(position + length, bytes.count)
        if let text = String(validating: bytes[position..<end], as: UTF8.self), let scalar = text.unicodeScalars.first {
            position = end
            return .scalar(scalar)
        }
        position += 1
        return .invalid(first)
    }

    private static func length(ofSequenceStartingWith byte: UInt8) -> Int {
        switch byte {
        case 0xc2...0xdf: 2
        case 0xe0...0xef: 3
        case 0xf0...0xf4: 4
        default: 1
        }
    }
}
