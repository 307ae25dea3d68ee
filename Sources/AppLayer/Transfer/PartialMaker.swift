internal import DeP2PIdentity
internal import DeP2PQUIC
internal import Glibc

/// Makes and opens the partial files of one sender, under their names.
struct PartialMaker: Sendable {
    private let folder: FolderHandle
    private let sender: NodeID
    private let pulse: TransferPulse

    /// - Parameter pulse: that of the transfer that writes them.
    init(in folder: FolderHandle, for sender: NodeID, pulse: TransferPulse) {
        (self.folder, self.sender, self.pulse) = (folder, sender, pulse)
    }

    /// An empty file for an entry of which nothing is held: without a name, where it is small and the file system can.
    func makeEmpty(_ entry: TransferEntry, in place: FolderHandle.Place) throws(TransferError) -> PartialFile {
        if let size = entry.size, size <= TransferLimits.unnamedFile,
            let file = PartialFile.unnamed(in: place.descriptor)
        {
            return file
        }
        let file = try make(entry, in: place)
        // One that was found is of no use: nothing of it was claimed.
        if ftruncate(file.descriptor.number, 0) != 0 {
            let error = FileError(errno: errno)
            file.removeName()
            throw .writing(entry.name, error)
        }
        return file
    }

    private func make(_ entry: TransferEntry, in place: FolderHandle.Place) throws(TransferError) -> PartialFile {
        for slot in 0..<TransferLimits.partialsPerName {
            let opened: PartialFile.Opened
            do throws(TransferError) {
                opened = try open(name(of: entry, slot: slot), in: place.descriptor, create: true)
            } catch {
                guard Self.isRefusedName(error) else { throw error }
                let name = name(of: entry, slot: slot, withoutItsName: true)
                opened = try open(name, in: place.descriptor, create: true)
            }
            if case .partial(let file, _) = opened { return file }
        }
        let limit = TransferLimits.partialsPerName
        throw TransferError(.busy, "\(entry.name): \(limit) files of that name arrive at once, which is the limit")
    }

    func open(
        _ name: String, in directory: Descriptor, create: Bool
    ) throws(TransferError) -> PartialFile.Opened {
        try PartialFile.open(name, in: directory, create: create, pulse: pulse) { [folder] owner in
            owner == geteuid() || owner == folder.creationOwner()
        }
    }

    /// At most 255 bytes, whatever the name's length.
    func name(of entry: TransferEntry, slot: Int, withoutItsName: Bool = false) -> String {
        let parts = [sender.bytes, Array(entry.name.utf8)] + (slot == 0 ? [] : [[UInt8(slot)]])
        let tag = TransferName.tag(parts)
        let room = TransferLimits.nameBytes - TransferName.partialMark.utf8.count - tag.utf8.count - 1
        let name = withoutItsName ? "" : TransferName.shortened(entry.path.last ?? "", to: room)
        return "." + name + TransferName.partialMark + tag
    }

    static func isRefusedName(_ error: TransferError) -> Bool {
        (error.underlying as? FileError)?.isRefusedName == true
    }
}
