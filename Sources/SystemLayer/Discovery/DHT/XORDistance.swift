internal import DeP2PIdentity

/// How far two keys are from each other: their bits' exclusive or, as a number of 256 bits.
package struct XORDistance: Hashable, Sendable, Comparable, CustomStringConvertible {
    package static let zero = XORDistance(0, 0, 0, 0)
    /// Farther than any two keys are.
    package static let greatest = XORDistance(.max, .max, .max, .max)

    // The most significant first.
    private let first, second, third, fourth: UInt64

    init(_ first: UInt64, _ second: UInt64, _ third: UInt64, _ fourth: UInt64) {
        (self.first, self.second, self.third, self.fourth) = (first, second, third, fourth)
    }

    /// Of 32 bytes; what lacks counts as zero.
    init(bigEndian bytes: [UInt8]) {
        func word(_ index: Int) -> UInt64 {
            bytes.dropFirst(8 * index).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        }
        self.init(word(0), word(1), word(2), word(3))
    }

    /// That fraction of the whole space, as exactly as a `Double` says it; more than all of it is ``greatest``.
    package init(fraction: Double) {
        let scaled = fraction * 0x1p64
        guard scaled > 0 else {
            self = .zero
            return
        }
        guard scaled < 0x1p64 else {
            self = .greatest
            return
        }
        let high = scaled.rounded(.down)
        let low = ((scaled - high) * 0x1p64).rounded(.down)
        self.init(UInt64(high), low < 0x1p64 ? UInt64(low) : .max, 0, 0)
    }

    /// The part of the whole space that lies nearer than this: 0 … 1.
    package var fraction: Double { Double(first) * 0x1p-64 + Double(second) * 0x1p-128 }

    package var leadingZeroBitCount: Int {
        if first != 0 { return first.leadingZeroBitCount }
        if second != 0 { return 64 + second.leadingZeroBitCount }
        if third != 0 { return 128 + third.leadingZeroBitCount }
        return 192 + fourth.leadingZeroBitCount
    }

    package static func < (left: Self, right: Self) -> Bool {
        if left.first != right.first { return left.first < right.first }
        if left.second != right.second { return left.second < right.second }
        if left.third != right.third { return left.third < right.third }
        return left.fourth < right.fourth
    }

    static func ^ (left: Self, right: Self) -> Self {
        Self(left.first ^ right.first, left.second ^ right.second, left.third ^ right.third, left.fourth ^ right.fourth)
    }

    static func & (left: Self, right: Self) -> Self {
        Self(left.first & right.first, left.second & right.second, left.third & right.third, left.fourth & right.fourth)
    }

    /// The number whose only set bit is that one, counted from the most significant.
    static func bit(_ index: Int) -> Self {
        func word(_ number: Int) -> UInt64 { index / 64 == number ? 1 << (63 - UInt64(index % 64)) : 0 }
        return Self(word(0), word(1), word(2), word(3))
    }

    /// The first `length` bits; the others are zero.
    func keeping(to length: Int) -> Self {
        func word(_ bits: UInt64, _ number: Int) -> UInt64 {
            let kept = length - 64 * number
            if kept >= 64 { return bits }
            return kept <= 0 ? 0 : bits & ~(UInt64.max >> UInt64(kept))
        }
        return Self(word(first, 0), word(second, 1), word(third, 2), word(fourth, 3))
    }

    /// All but the first `length` bits.
    func keeping(from length: Int) -> Self { self ^ keeping(to: length) }

    /// 64 hexadecimal digits.
    package var description: String { Hex.encode(bigEndianBytes) }

    var bigEndianBytes: [UInt8] {
        [first, second, third, fourth].flatMap { word in
            (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * UInt64($0))) }
        }
    }
}
