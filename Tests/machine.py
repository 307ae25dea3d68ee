"""Lists what below the command line reads the machine around a node's environment (`NodeEnvironment`).

In a simulation nothing may be the machine's: neither its time, nor its randomness, its networks, names and files. What may
read it stands below with its reason; the default of a parameter is what a caller without a node gets.
"""

import pathlib
import re
import sys

READS = re.compile(
    r"SystemRandomNumberGenerator|\bSecureRandom\.|\.random\(in: (?!.*using:)|\.random\(\)|\.shuffled\(\)|"
    r"\.randomElement\(\)|clock_gettime|gettimeofday|\btime\(nil\)|ContinuousClock|SuspendingClock|"
    r"SystemNetworkClock\.shared|WallClock\.|getifaddrs|if_nametoindex|getaddrinfo|gethostname|\"/(proc|etc|sys)/|"
    r"IPAddress\.source\(|Gateway\.current|NetworkInterface\.index|RouteSocket\(|UDPDriver\(|DatagramSocket\(|"
    r"InterfaceAddresses\.|KernelTable\.|NodeEnvironment\.system|HostMark\.system|SQLiteStorage\(")
DEFAULT = re.compile(r"= (SystemNetworkClock\.shared|WallClock\.milliseconds)\b")

MAY = {
    "DeP2P/Environment/SystemEnvironment.swift": "the system's environment",
    "DeP2P/Listening/HostMark.swift": "a part of it",
    "DeP2P/Listening/InterfaceAddresses.swift": "a part of it",
    "DeP2P/Listening/Listening.swift": "a part of it",
    "HTTP/": "serves programs of this machine, in this machine's time",
    "Identity/Crypto/RandomSource.swift": "a part of it",
    "Identity/Crypto/Sodium.swift": "a part of it",
    "Identity/WallClock.swift": "a part of it",
    "Reactor/Executor/NetworkExecutor.swift": "a part of it",
    "Reactor/Interfaces/": "a part of it",
    "Reactor/Sockets/": "a part of it",
    "SystemLayer/Reach/PortMapping/Gateway+PCP.swift": "the number of the interface that the environment named",
    "Storage/SQLite/": "a part of it",
    "SystemLayer/Reach/Dialing/NameResolver.swift": "a part of it",
    "SystemLayer/Reach/Dialing/NameSource.swift": "a part of it",
    "SystemLayer/Reach/UDPBlocking/NetworkFingerprint.swift": "a part of it",
    "SystemLayer/Reach/UDPBlocking/UDPMemory.swift": "what a dialler without a node gets",
    "SystemLayer/Reach/NATCheck/NATCheck.swift": "what a check without a node gets",
    "SystemLayer/Reach/NATCheck/TCPProbe.swift": "looks at this machine's network, for no node",
    "DeP2P/NetworkCheck/NetworkCheck.swift": "looks at this machine's network, for no node",
    "DeP2P/Configuration/NodeConfiguration.swift": "the user's text names an interface of this machine",
    "AppLayer/Transfer/": "the user's files, which are this machine's",
    "Identity/Files/": "the user's files, which are this machine's",
    "Identity/Realm/RealmKey.swift": "a new key for a user",
    "Reactor/Executor/PatientRead.swift": "how long the disk takes is this machine's time",
    "SystemLayer/Sessions/Peers/PeerReading.swift": "how long the disk takes is this machine's time",
    "QUIC/Relay/FakeAddress.swift": "an address that must be no network's that this process sees",
    "QUIC/TCP/OuterTLS.swift": "TCP is not simulated",
}


def may(name):
    return any(name == place or place.endswith("/") and name.startswith(place) for place in MAY)


def main():
    sources = pathlib.Path(__file__).parent.parent / "Sources"
    found = False
    for path in sorted(sources.glob("**/*.swift")):
        name = str(path.relative_to(sources))
        if name.startswith("CLI/") or may(name):
            continue
        for number, line in enumerate(path.read_text().split("\n"), 1):
            if READS.search(DEFAULT.sub("", line.split("//")[0])):
                print(f"{path}:{number}: reads the machine around NodeEnvironment: {line.strip()}")
                found = True
    for place in MAY:
        if not (sources / place).exists():
            print(f"{place}: no longer there; take it out of Tests/machine.py")
            found = True
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
