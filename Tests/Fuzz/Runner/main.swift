import Foundation

/// libFuzzer as a library: `fuzz --target=NAME [FLAG...] [CORPUS...]`. It leaves flags with two dashes to us, and gives them
/// to the processes that it starts itself (`-merge=1`).
@_silgen_name("LLVMFuzzerRunDriver")
func runFuzzer(
  _ count: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ body: @convention(c) (UnsafePointer<UInt8>, Int) -> CInt
) -> CInt

let flag = "--target="
guard
  let name = CommandLine.arguments.first(where: { $0.hasPrefix(flag) })?.dropFirst(flag.count),
  let target = fuzzTargets.first(where: { $0.name == name })
else {
  print(fuzzTargets.map(\.name).joined(separator: "\n"))
  exit(64)
}
nonisolated(unsafe) let check = target.check

var count = CommandLine.argc
var arguments = CommandLine.unsafeArgv
exit(
  runFuzzer(&count, &arguments) { start, count in
    do {
      try check(UnsafeRawBufferPointer(start: start, count: count))
    } catch {
      fatalError("\(error)")
    }
    return 0
  })
