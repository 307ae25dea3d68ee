internal import DeP2PReactor

/// The half of a ``ReceiverRun`` that faces the disk, or whatever its ``TransferSink`` writes to: steps of files go in,
/// what became of the files comes out.
///
/// Calling order: ``prepare(_:_:mayRefuseFiles:)``; then ``push(_:)`` of steps, and of small files that ``takesWhole(_:)``
/// lets pass, while ``write(when:report:)``, ``storeSmallFiles(when:report:)`` and any number of ``commit(when:report:)``
/// run beside each other; at last ``finish(confirmed:)``.
@NetworkActor
final class ReceiverDisk {
    /// What the other half learns.
    enum Outcome {
        /// So many bytes have been written, and so many zeros left out.
        case wrote(UInt64, zeros: UInt64)
        case mismatch(index: Int, root: MerkleRoot)
        /// Durable and under its final name.
        case stored(TransferredFile, resumedFrom: UInt64)
        /// Not to be stored here.
        case refused(index: Int, TransferError)
    }

    private let destination: TransferReceiver.Destination
    private let transfer: IncomingTransfer
    private let pulse: TransferPulse
    private let clock: any NetworkClock
    private let timing: TransferTiming

    private let operations = Mailbox<WriteOperation>()
    private let written = Mailbox<WrittenFile>()
    private let smallFiles = Mailbox<SmallFile>()
    private var sink: (any TransferSink)?
    private var store: SmallFileStore?
    /// Jobs of small files under way.
    private var storing = 0
    private var flushTimer: TimerToken?
    /// How many files may be written and not yet durable.
    private var files = 1

    /// What an operation weighs beside its bytes: a sender that cuts its data small pays with its own window.
    private static let operationWeight = 512
    /// What small files weigh before more than one job takes them.
    private static let leastSmallFiles = 64 * 1024
    /// How long bytes wait for more before they go to the disk.
    private static let writeDelay = Duration.milliseconds(10)
    /// How often a partial file in use is tried again.
    private static let busyRetry = Duration.milliseconds(250)

    init(
        destination: TransferReceiver.Destination, transfer: IncomingTransfer, pulse: TransferPulse,
        clock: any NetworkClock, timing: TransferTiming
    ) {
        (self.destination, self.transfer, self.pulse) = (destination, transfer, pulse)
        (self.clock, self.timing) = (clock, timing)
    }

    /// Bytes that have come and are not written yet, and what their operations weigh.
    var waiting: Int { operations.weight + smallFiles.weight }

    /// Whether everything that has come is written and durable.
    var isIdle: Bool { waiting == 0 && written.weight == 0 }

    /// Bytes that have gone where they cannot be taken back.
    var passedOn: UInt64 { sink?.passedOn ?? 0 }

    // MARK: Before the first byte

    /// Finds what is held of an offer, and whether there is room for the rest.
    ///
    /// - Parameter mayRefuseFiles: whether the sender lets files be refused one by one.
    /// - Returns: what is held, whether zeros may come as a number, and the folders that can't be made.
    func prepare(
        _ offer: TransferOffer, _ descriptors: ReceivingDescriptors, mayRefuseFiles: Bool
    ) async throws -> (claims: [HeldFile], takesZeros: Bool, refused: [TransferFailure]) {
        let (destination, sender, pulse) = (destination, transfer.sender, pulse)
        files = descriptors.files
        let sink: any TransferSink = try await offload {
            switch destination {
            case .folder(let folder):
                FolderSink(
                    folder: try folder.open(), offer: offer, sender: sender, partials: descriptors.partials,
                    pulse: pulse, mayRefuseFiles: mayRefuseFiles)
            case .descriptor(let descriptor): DescriptorSink(descriptor: descriptor, offer: offer)
            }
        }
        self.sink = sink
        let began = clock.now
        while true {
            let isOver = clock.now.duration(since: began) >= timing.busy
            do {
                let patience = PartialPatience(since: began, isOver: isOver)
                try await offload { try sink.prepare(patience) }
                break
            } catch let error as TransferError where error.code == .busy && !isOver {
                // Another process holds the lock, and nobody tells when it lets go.
                try await clock.sleep(for: Self.busyRetry)
            }
        }
        while try await offload({ try sink.hashHeld() }) { try Task.checkCancellation() }
        // Folders are made even when no file follows.
        let refused = try await withTaskCancellationHandler {
            try await offload { try sink.makeFolders() }
        } onCancel: {
            sink.giveUp()
        }
        store = sink.smallFileStore()
        return (sink.claims, sink.takesZeros, refused)
    }

    // MARK: Steps

    func push(_ operation: WriteOperation) {
        operations.push(operation, weight: operation.byteCount + Self.operationWeight)
        scheduleFlush()
    }

    /// Whether a file may come whole.
    func takesWhole(_ index: Int) -> Bool { store?.takes(index) ?? false }

    func push(_ file: SmallFile) {
        smallFiles.push(file, weight: Self.weight(of: file))
        scheduleFlush()
    }

    private static func weight(of file: SmallFile) -> Int { file.range.count + operationWeight }

    private func scheduleFlush() {
        guard flushTimer == nil else { return }
        flushTimer = clock.schedule(after: Self.writeDelay) {
            self.flushTimer = nil
            self.operations.flush()
            self.smallFiles.flush()
        }
    }

    /// Does not wait for more.
    func flush() {
        operations.flush()
        // Whoever stores some takes what came meanwhile: others beside would get a handful each.
        if storing == 0 { smallFiles.flush() }
    }

    /// Waits until no more than ``TransferLimits/writeBehind`` waits.
    func waitForRoom() async throws {
        while waiting >= TransferLimits.writeBehind {
            if operations.weight > smallFiles.weight {
                try await operations.waitForRoom(below: operations.weight)
            } else {
                try await smallFiles.waitForRoom(below: smallFiles.weight)
            }
        }
    }

    /// - Parameter ready: waits until the other half may be told more.
    func write(
        when ready: @NetworkActor () async throws -> Void, report: @NetworkActor (Outcome) throws -> Void
    ) async throws {
        guard let sink else { return }
        while true {
            // A file takes two operations at least, its start and its end: no more are opened than there is room for.
            try await written.waitForRoom(below: files)
            try await ready()
            let most = 2 * (files - written.weight)
            guard let taken = try await operations.take(atLeast: TransferLimits.writeBatch, atMost: most) else {
                return
            }
            guard !taken.isEmpty else { continue }
            let results = try await withTaskCancellationHandler {
                try await offload { try sink.write(taken) }
            } onCancel: {
                // Whoever reads what is written may never read on.
                sink.giveUp()
            }
            let bytes = taken.reduce(0) { $0 + $1.byteCount }
            operations.release(bytes + taken.count * Self.operationWeight)
            try report(.wrote(UInt64(bytes), zeros: taken.reduce(0) { $0 + $1.zeroCount }))
            try handle(results, report)
        }
    }

    /// - Parameter ready: waits until more may be stored, and the other half told of it.
    func storeSmallFiles(
        when ready: @NetworkActor () async throws -> Void, report: @NetworkActor (Outcome) throws -> Void
    ) async throws {
        guard let store else { return }
        while let files = try await smallFiles.take(atLeast: Self.leastSmallFiles, atMost: TransferLimits.commitBatch) {
            guard !files.isEmpty else { continue }
            try await ready()
            storing += 1
            defer { storing -= 1 }
            let results = try await offload { try store.store(files) }
            smallFiles.release(files.reduce(0) { $0 + Self.weight(of: $1) })
            if smallFiles.weight > 0 { smallFiles.flush() }
            try report(.wrote(UInt64(files.reduce(0) { $0 + $1.range.count }), zeros: 0))
            for result in results {
                switch result {
                case .stored(let file): try report(.stored(file, resumedFrom: 0))
                case .mismatch(let index, let root): try report(.mismatch(index: index, root: root))
                case .refused(let index, let error): try report(.refused(index: index, error))
                }
            }
        }
    }

    private func handle(_ results: [WriteResult], _ report: @NetworkActor (Outcome) throws -> Void) throws {
        for result in results {
            switch result {
            case .written(let file): written.push(file)
            case .mismatch(let index, let root): try report(.mismatch(index: index, root: root))
            case .refused(let index, let error): try report(.refused(index: index, error))
            }
        }
    }

    /// - Parameter ready: waits until more may be made durable.
    func commit(
        when ready: @NetworkActor () async throws -> Void, report: @NetworkActor (Outcome) throws -> Void
    ) async throws {
        while let files = try await written.take(atMost: TransferLimits.commitBatch) {
            guard let sink, !files.isEmpty else { continue }
            try await ready()
            let results = try await offload { try sink.commit(files) }
            written.release(files.count)
            for result in results {
                switch result {
                case .stored(let file, let resumed): try report(.stored(file, resumedFrom: resumed))
                case .refused(let index, let error): try report(.refused(index: index, error))
                }
            }
        }
    }

    // MARK: The end

    func stopTimer() {
        if let flushTimer { clock.cancel(flushTimer) }
        flushTimer = nil
    }

    func finish(confirmed: Bool) async {
        stopTimer()
        guard let sink else { return }
        self.sink = nil
        // It throws what the work does: nothing.
        _ = try? await offload { sink.finish(confirmed: confirmed) }
    }
}
