/// Whether others reach this node straight, as far as nodes that dialled back have found.
public enum ReachabilityState: String, Sendable {
    case unknown
    /// At least one address was reached by a node that it had not been opened for.
    case reachable = "public"
    /// Whoever tried has not got through.
    case unreachable = "private"
}
