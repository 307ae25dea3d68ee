/// Decimal numbers and quantities for people, without Foundation.
enum FixedPoint {
    /// `value / 10^decimals` as digits, a point and `decimals` digits.
    static func text(_ value: Int64, decimals: Int) -> String {
        guard decimals > 0 else { return String(value) }
        var digits = String(value.magnitude)
        if digits.utf8.count <= decimals {
            digits = String(repeating: "0", count: decimals + 1 - digits.utf8.count) + digits
        }
        let point = digits.index(digits.endIndex, offsetBy: -decimals)
        return (value < 0 ? "-" : "") + digits[..<point] + "." + digits[point...]
    }

    /// A number of bytes with a binary unit and three digits or so: `512 B`, `1.5 KiB`, `118 MiB`.
    static func bytes(_ count: UInt64) -> String {
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        guard count >= 1024 else { return "\(count) B" }
        let unit = min(units.count, (63 - count.leadingZeroBitCount) / 10)
        let shift = UInt64(10 * unit)
        let tenths = (count >> shift) * 10 + ((count & (1 << shift - 1)) * 10) >> shift
        return (tenths < 1000 ? text(Int64(tenths), decimals: 1) : String(tenths / 10)) + " " + units[unit - 1]
    }

    /// A time for people: `0.4 ms`, `31 ms`, `2.4 s`, `3:07`, `1:02:09`.
    static func duration(_ value: Duration) -> String {
        let micros = max(0, value.wholeMicroseconds)
        switch micros {
        case ..<10_000: return text(micros / 10, decimals: 2) + " ms"
        case ..<1_000_000: return "\(micros / 1000) ms"
        case ..<60_000_000: return text(micros / 100_000, decimals: 1) + " s"
        default: return clock(seconds: micros / 1_000_000)
        }
    }

    /// Minutes and seconds, with hours when there are any: `0:07`, `12:00`, `1:02:09`.
    static func clock(seconds: Int64) -> String {
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : String(number) }
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60)
        return hours > 0 ? "\(hours):\(two(minutes)):\(two(rest))" : "\(minutes):\(two(rest))"
    }
}

extension Duration {
    /// Whole microseconds, clamped to what 64 bits hold.
    var wholeMicroseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        guard !overflow else { return seconds < 0 ? .min : .max }
        let (sum, carried) = product.addingReportingOverflow(attoseconds / 1_000_000_000_000)
        return carried ? (seconds < 0 ? .min : .max) : sum
    }

    var wholeMilliseconds: Int64 { wholeMicroseconds / 1000 }
}
