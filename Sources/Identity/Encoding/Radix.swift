/// A positional number system for bytes taken as one big-endian number, leading zero bytes kept as leading zero digits
/// (draft-msporny-base58 section 3).
struct Radix: Sendable {
    private static let none: UInt8 = 0xff

    private let digits: [UInt8]
    private let values: [UInt8]

    init(_ alphabet: StaticString) {
        digits = alphabet.withUTF8Buffer { [UInt8]($0) }
        var values = [UInt8](repeating: Self.none, count: 256)
        for (value, digit) in digits.enumerated() { values[Int(digit)] = UInt8(value) }
        self.values = values
    }

    func encode(_ bytes: [UInt8]) -> String {
        let zeros = bytes.prefix { $0 == 0 }.count
        let number = Self.convert(bytes.dropFirst(zeros), from: 256, to: digits.count)
        let text = [UInt8](repeating: digits[0], count: zeros) + number.map { digits[Int($0)] }
        return String(decoding: text, as: UTF8.self)
    }

    func decode(_ text: [UInt8], limit: Int) -> [UInt8]? {
        guard text.count <= limit else { return nil }
        var number: [UInt8] = []
        number.reserveCapacity(text.count)
        for character in text {
            let value = values[Int(character)]
            guard value != Self.none else { return nil }
            number.append(value)
        }
        let zeros = number.prefix { $0 == 0 }.count
        return [UInt8](repeating: 0, count: zeros) + Self.convert(number.dropFirst(zeros), from: digits.count, to: 256)
    }

    /// Most significant digit first on both sides; nothing for zero.
    private static func convert(_ number: ArraySlice<UInt8>, from: Int, to: Int) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(number.count * 2)
        for digit in number {
            var carry = Int(digit)
            for index in output.indices {
                carry += Int(output[index]) * from
                output[index] = UInt8(truncatingIfNeeded: carry % to)
                carry /= to
            }
            while carry > 0 {
                output.append(UInt8(truncatingIfNeeded: carry % to))
                carry /= to
            }
        }
        output.reverse()
        return output
    }
}
