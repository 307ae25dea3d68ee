extension Dictionary where Key: Comparable {
    /// The values in the order of their keys. A dictionary's own order is another one in every process: a simulation whose
    /// events followed it would not replay.
    @inlinable public var valuesInOrder: [Value] { sorted { $0.key < $1.key }.map(\.value) }
}
