internal import DeP2PQUIC
internal import Glibc

/// The folders in which a source's files lie: open is the one of the file before, which most often is the next one's too.
struct SourceFolders {
    private let tops: [SendSource.Top]
    private var top: (number: Int, descriptor: Descriptor)?
    private var last: (top: Int, path: ArraySlice<String>, descriptor: Descriptor)?

    init(tops: [SendSource.Top]) {
        self.tops = tops
    }

    /// Opens the file with `path` on the wire, whose first component stands for what was named.
    ///
    /// Nothing below is reached through a symlink, and a folder that was named is the one that was walked.
    mutating func open(_ path: [String], below number: Int) -> Result<Descriptor, FileError> {
        // Without O_NONBLOCK, opening what has become a pipe meanwhile would hang.
        let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK
        guard path.count > 1, let name = path.last else {
            return Descriptor.open(tops[number].path, in: nil, flags: flags)
        }
        return folder(path.dropFirst().dropLast(), below: number).flatMap {
            Descriptor.open(Array(name.utf8), in: $0, flags: flags)
        }
    }

    private mutating func folder(_ path: ArraySlice<String>, below number: Int) -> Result<Descriptor, FileError> {
        if let last, last.top == number, last.path == path { return .success(last.descriptor) }
        last = nil
        var folder = openTop(number)
        for component in path { folder = folder.flatMap { Descriptor.openDirectory(Array(component.utf8), in: $0) } }
        if case .success(let descriptor) = folder { last = (number, path, descriptor) }
        return folder
    }

    private mutating func openTop(_ number: Int) -> Result<Descriptor, FileError> {
        if let top, top.number == number { return .success(top.descriptor) }
        top = nil
        let opened = Descriptor.openDirectory(tops[number].path, in: nil)
        guard case .success(let descriptor) = opened else { return opened }
        guard case .success(let status) = descriptor.status(), let walked = tops[number].folder,
            (status.device, status.inode) == (walked.device, walked.inode)
        else { return .failure(FileError(errno: ENOENT)) }
        top = (number, descriptor)
        return opened
    }
}
