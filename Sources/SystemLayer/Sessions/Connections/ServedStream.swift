internal import DeP2PQUIC
internal import DeP2PReactor

/// A stream that the peer has opened, as its session knows it.
@NetworkActor
final class ServedStream {
    let stream: any ByteStream
    var task: Task<Void, Never>?
    var isForMembers = false

    init(_ stream: any ByteStream) { self.stream = stream }
}
