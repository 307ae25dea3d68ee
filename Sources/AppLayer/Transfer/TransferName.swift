internal import DeP2PIdentity
@_spi(_Unicode) internal import Swift

/// Which names may be sent and made: relative paths of plain components.
///
/// A receiver must be able to print a name, to find it again and to own it; so no component is empty, `.` or `..`, none
/// holds `/`, control characters, bidirectional controls or line separators, and none looks like a file of our own.
/// Names are made in Unicode normal form C: what macOS sends decomposed ends up under the name that a keyboard types.
///
/// What passes and could still mislead whoever looks at the folder is written so that it shows (``onDisk(path:)``).
enum TransferName {
    static let partialMark = ".dep2p-partial-"
    static let resumePrefix = ".dep2p-resume-"

    /// The path in normal form C.
    ///
    /// - Throws: `.badName` with the rule it breaks.
    static func checked(path: [String]) throws(TransferError) -> [String] {
        guard !path.isEmpty, path.count <= TransferLimits.depth else {
            throw bad(path, path.isEmpty ? "it is empty" : "it is more than \(TransferLimits.depth) folders deep")
        }
        var checked: [String] = []
        var bytes = 0
        for component in path {
            // Before it is normalized: that takes the square of the time for marks in a wrong order.
            if component.utf8.count > decomposedBytes { throw bad(path, tooLong) }
            let normal = normalFormC(component)
            if let reason = objection(to: normal) { throw bad(path, reason) }
            bytes += normal.utf8.count + 1
            checked.append(normal)
        }
        guard bytes <= TransferLimits.pathBytes else {
            throw bad(path, "it is longer than \(TransferLimits.pathBytes) bytes")
        }
        return checked
    }

    /// Why a component cannot be a file's name; `nil` when it can.
    static func objection(to component: String) -> String? {
        if component.isEmpty { return "a part of it is empty" }
        if isPlain(component) { return nil }
        if component == "." || component == ".." { return "it has a part \"\(component)\"" }
        if component.utf8.count > TransferLimits.nameBytes { return tooLong }
        if component.utf8.contains(UInt8(ascii: "/")) { return "a part has a slash in it" }
        for scalar in component.unicodeScalars where isForbidden(scalar) {
            return "it has the control character U+\(hexadecimal(scalar.value))"
        }
        return isReserved(component) ? "the name is reserved for partial files" : nil
    }

    /// Whether a path is of visible ASCII and spaces and needs no change and no closer look: most are and need none.
    ///
    /// What this lets pass, ``checked(path:)`` and ``onDisk(path:)`` leave as it is.
    static func isPlain(path: TransferEntries.Components) -> Bool {
        var (count, bytes) = (0, 0)
        for component in path {
            guard let first = component.first, component.count <= TransferLimits.nameBytes, first != UInt8(ascii: "."),
                count > 0 || first != UInt8(ascii: "-"),
                component.allSatisfy({ (0x20...0x7e).contains($0) && $0 != UInt8(ascii: "/") }),
                component.contains(where: { $0 != 0x20 })
            else { return false }
            count += 1
            bytes += component.count + 1
        }
        return count > 0 && count <= TransferLimits.depth && bytes <= TransferLimits.pathBytes
    }

    private static let tooLong = "a part is longer than \(TransferLimits.nameBytes) bytes"
    /// UTF-8 bytes of what can become a name in normal form C: the longest decompositions take three times as much.
    private static let decomposedBytes = 3 * TransferLimits.nameBytes

    /// Whether the name is letters, digits, and other visible ASCII but a slash, and begins with no dot: most are, and
    /// may be made as they are.
    private static func isPlain(_ component: String) -> Bool {
        let bytes = component.utf8
        return bytes.first != UInt8(ascii: ".") && bytes.count <= TransferLimits.nameBytes
            && bytes.allSatisfy { (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "/") }
    }

    // MARK: On the disk

    /// The path under which `path` is made, which ``checked(path:)`` let pass.
    ///
    /// - Invisible characters are written out as `{U+200B}`, and so is a name of nothing but spaces: two names that look
    ///   alike are not two names. Joiners and variation selectors behind a visible character belong to it (emoji, Persian,
    ///   Han) and stay.
    /// - What lies directly in the folder, beside the user's own files, gets `_` before a leading dot or dash: a peer
    ///   chooses neither `.bashrc` for a home folder, nor `-rf` for somebody's `rm *`. Below a folder of its own, names
    ///   stay: `project/.gitignore` is part of the project.
    /// - What came to look like a file of our own only by being written out gets `_` too.
    static func onDisk(path: [String]) -> [String] {
        var path = path.map(visible)
        if let first = path.first, first.hasPrefix(".") || first.hasPrefix("-") {
            path[0] = shortened("_" + first, to: TransferLimits.nameBytes)
        }
        return path
    }

    private static func visible(_ component: String) -> String {
        if component.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) { return component }
        var result = String.UnicodeScalarView()
        var isBehindVisible = false
        let hasVisible = component.unicodeScalars.contains { isVisible($0) }
        for scalar in component.unicodeScalars {
            let belongs = isBehindVisible && isModifier(scalar)
            if isVisible(scalar) || belongs || (hasVisible && scalar.properties.isWhitespace) {
                result.append(scalar)
            } else {
                result.append(contentsOf: "{U+\(hexadecimal(scalar.value))}".unicodeScalars)
            }
            isBehindVisible = isVisible(scalar) || belongs
        }
        return unreserved(shortened(String(result), to: TransferLimits.nameBytes))
    }

    /// The name, or one that is not ours.
    private static func unreserved(_ name: String) -> String {
        isReserved(name) ? shortened("_" + name, to: TransferLimits.nameBytes) : name
    }

    private static func isVisible(_ scalar: Unicode.Scalar) -> Bool {
        let properties = scalar.properties
        if properties.isDefaultIgnorableCodePoint || properties.isWhitespace { return false }
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: return false
        default: return scalar.value != 0x2800  // the empty Braille pattern
        }
    }

    /// Joiners, and the selectors of a variant of the character before.
    private static func isModifier(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x200c, 0x200d, 0xfe00...0xfe0f, 0xe0100...0xe01ef, 0x180b...0x180f: true
        default: false
        }
    }

    /// `component` as file systems take it that know fewer characters than POSIX (FAT, NTFS, many shares).
    static func portable(_ component: String) -> String {
        var result = String(component.map { "<>:\"|?*\\".contains($0) ? "_" : $0 })
        while let last = result.last, last == "." || last == " " { result.removeLast() }
        return unreserved(shortened(result.isEmpty ? "_" : result, to: portableNameBytes))
    }

    /// UTF-8 bytes of a name that stacked file systems take (eCryptfs takes 143).
    private static let portableNameBytes = 140

    /// Whether the name is of a kind that a receiver makes for itself.
    static func isReserved(_ component: String) -> Bool {
        guard component.hasPrefix(".") else { return false }
        if component.hasPrefix(resumePrefix) { return true }
        let tail = component.utf8.suffix(partialMark.utf8.count + 16)
        return tail.starts(with: partialMark.utf8) && tail.suffix(16).allSatisfy(isHexadecimalDigit)
    }

    /// Sixteen hexadecimal digits that tell this file of this sender from others.
    static func tag(_ parts: [[UInt8]]) -> String {
        var hasher = SHA256()
        for part in parts {
            hasher.update(Varint.encode(UInt64(part.count)))
            hasher.update(part)
        }
        return String(hasher.finalize().hex.prefix(16))
    }

    /// Sixteen hexadecimal digits that nothing else has.
    static func randomTag() -> String { Hex.encode(SecureRandom.bytes(8)) }

    /// `name` shortened at a character's boundary to `limit` bytes.
    static func shortened(_ name: String, to limit: Int) -> String {
        var short = name
        while short.utf8.count > limit { short.removeLast() }
        return short
    }

    /// `disk.img` → `disk (1).img`; for a number of 0 the name itself.
    static func numbered(_ name: String, _ number: Int) -> String {
        guard number > 0 else { return name }
        let suffix = " (\(number))"
        let (stem, ending) = split(name)
        let room = TransferLimits.nameBytes - suffix.utf8.count - ending.utf8.count
        return shortened(stem, to: max(room, 0)) + suffix + ending
    }

    /// Stem and ending with its dot; `archive.tar.gz` has the ending `.tar.gz`, `.profile` none.
    private static func split(_ name: String) -> (String, String) {
        guard let dot = name.lastIndex(of: "."), dot > name.startIndex, name.distance(from: dot, to: name.endIndex) < 16
        else { return (name, "") }
        let stem = name[..<dot]
        if stem.hasSuffix(".tar"), stem.count > 4 { return (String(stem.dropLast(4)), ".tar" + name[dot...]) }
        return (String(stem), String(name[dot...]))
    }

    private static func normalFormC(_ text: String) -> String {
        if text.utf8.allSatisfy({ $0 < 0x80 }) { return text }
        var scalars = String.UnicodeScalarView()
        scalars.append(contentsOf: text._nfc)
        return String(scalars)
    }

    private static func isForbidden(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00...0x1f, 0x7f...0x9f: true  // C0, DEL, C1
        case 0x061c, 0x200e, 0x200f, 0x202a...0x202e, 0x2066...0x2069: true  // Unicode Bidi_Control
        case 0x2028, 0x2029: true  // line and paragraph separators
        case 0xfff9...0xfffb, 0xe0000...0xe007f: true  // interlinear annotation, tags: invisible
        default: false
        }
    }

    private static func isHexadecimalDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }

    private static func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    private static func bad(_ path: [String], _ reason: String) -> TransferError {
        TransferError(.badName, "the name \"\(path.joined(separator: "/"))\" cannot be used: \(reason)")
    }
}
