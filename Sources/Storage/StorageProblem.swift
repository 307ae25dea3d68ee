internal import Glibc

/// Why a store cannot be read or written.
package struct StorageProblem: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: String, Hashable, Sendable, CaseIterable {
        /// Written by a later version: left as it is.
        case newerVersion
        /// A database, but not one of ours: left as it is.
        case otherApplication
        /// No file at all: a folder, a pipe, a link to nowhere.
        case notAFile
        /// Not to be read as what it should be.
        case damaged
        case full
        case readOnly
        case noPermission
        /// Another process held it for long.
        case busy
        /// The system refused for another reason.
        case system
    }

    package let code: Code
    package let path: String
    package let detail: String

    package init(code: Code, path: String, detail: String) {
        self.code = code
        self.path = path
        self.detail = detail
    }

    /// What a failed system call means for a store.
    static func code(errno code: Int32) -> Code {
        switch code {
        case ENOSPC, EDQUOT, EFBIG: .full
        case EROFS: .readOnly
        case EACCES, EPERM: .noPermission
        case ENOTDIR, EISDIR, ELOOP: .notAFile
        default: .system
        }
    }

    /// Whether trying again in this run is of no use.
    package var isFinal: Bool {
        switch code {
        case .newerVersion, .otherApplication, .notAFile: true
        case .damaged, .full, .readOnly, .noPermission, .busy, .system: false
        }
    }

    package var description: String {
        let why =
            switch code {
            case .newerVersion: "it is of a later version (\(detail))"
            case .otherApplication: "it is another program's database"
            case .notAFile: "it is no regular file"
            case .damaged: "it is damaged (\(detail))"
            case .full: "there is no room left"
            case .readOnly: "it is on something that can only be read"
            case .noPermission: "permission is denied"
            case .busy: "another process holds it"
            case .system: detail
            }
        return "what this node learns is not kept in \(path): \(why)"
    }
}
