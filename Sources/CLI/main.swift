import DeP2P
import Glibc

StandardStream.openClosedOnes()
signal(SIGPIPE, SIG_IGN)
ProcessMemory.keepPrivate()
DescriptorLimit.raise()
// The system passes as many arguments as argc says, each ended by a zero byte (execve(2)).
let arguments = (1..<max(1, Int(CommandLine.argc))).compactMap { index in
    CommandLine.unsafeArgv[index].map { Argument(bytes: Array(UnsafeRawBufferPointer(start: $0, count: strlen($0)))) }
}
let interruption = Interruption()
interruption.takeSignals()
let status = await Program.run(arguments, .ofProcess(), interruption)
exit(Int32(status.rawValue))
