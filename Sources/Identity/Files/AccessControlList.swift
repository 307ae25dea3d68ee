/// A file's POSIX access control list as the kernel hands it out: a version, then entries of 8 bytes, little-endian
/// (linux/posix_acl_xattr.h). Pure.
///
/// Where a file has one, the mode's group bits are its mask and say nothing of who may read: a service manager gives a
/// credential to one user by a list, and the mode then reads 0440 (systemd.exec(5), LoadCredential=).
struct AccessControlList {
    private static let version: UInt32 = 2
    private static let entrySize = 8
    private static let readPermission: UInt16 = 4

    private enum Tag {
        static let owner: UInt16 = 0x01
        static let user: UInt16 = 0x02
        static let owningGroup: UInt16 = 0x04
        static let group: UInt16 = 0x08
        static let mask: UInt16 = 0x10
        static let other: UInt16 = 0x20
    }

    private struct Entry {
        let tag: UInt16
        let permissions: UInt16
        let id: UInt32
    }

    private let entries: [Entry]

    /// `nil` for anything that is no list of this version.
    init?(_ bytes: [UInt8]) {
        var reader = LittleEndianReader(bytes)
        guard reader.read(4) == Self.version, (bytes.count - 4) % Self.entrySize == 0 else { return nil }
        var entries: [Entry] = []
        while let tag = reader.read(2), let permissions = reader.read(2), let id = reader.read(4) {
            entries.append(Entry(tag: UInt16(tag), permissions: UInt16(permissions), id: id))
        }
        self.entries = entries
    }

    /// Whether anyone but the file's owner, the superuser and `user` may read the file.
    func letsOthersRead(than user: UInt32, owner: UInt32) -> Bool {
        let mask = entries.first { $0.tag == Tag.mask }?.permissions ?? .max
        return entries.contains { entry in
            let reads = entry.permissions & Self.readPermission != 0
            switch entry.tag {
            case Tag.owner, Tag.mask: return false
            case Tag.other: return reads
            case Tag.user where [0, owner, user].contains(entry.id): return false
            default: return reads && mask & Self.readPermission != 0
            }
        }
    }
}

private struct LittleEndianReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The number in the next `count` bytes; `nil` at the end.
    mutating func read(_ count: Int) -> UInt32? {
        guard bytes.count - position >= count else { return nil }
        defer { position += count }
        return bytes[position..<position + count].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}
