import CPageFiles
import Foundation
import Hummingbird
import NIOCore

/// The page's files, by the path that they are asked for: these and no others, whatever lies where.
enum PageFiles {
  private struct File: Sendable {
    let type: String
    let bytes: ByteBuffer
    let tag: String

    init(_ type: String, _ bytes: some Sequence<UInt8>) {
      self.type = type
      self.bytes = ByteBuffer(bytes: bytes)
      tag = "\"\(WebSecret.Digest(of: self.bytes.readableBytesView).hex.prefix(32))\""
    }
  }

  private static let files: [String: File] = {
    var files: [String: File] = [:]
    var number = 0
    while let file = page_file(number)?.pointee {
      files[String(cString: file.path)] = File(
        String(cString: file.type), UnsafeBufferPointer(start: file.bytes, count: file.size))
      number += 1
    }
    return files
  }()

  /// Chart.js where Debian's libjs-chart.js puts it; without it the page shows tables.
  private static let chart = "/chart.js"
  private static let chartFile = "/usr/share/javascript/chart.js/chart.min.js"
  private static let largestChart = 2_000_000

  static func holds(_ path: String) -> Bool { files[path] != nil || path == chart }

  static func add(to router: Router<WebContext>) {
    for (path, file) in files { add(path, to: router) { file } }
    add(chart, to: router) { readChart() }
  }

  private static func add(
    _ path: String, to router: Router<WebContext>, _ file: @escaping @Sendable () -> File?
  ) {
    for method in [HTTPRequest.Method.get, .head] {
      router.on(RouterPath(path), method: method) { request, _ in
        guard let file = file() else { throw HTTPError(.notFound) }
        let headers: HTTPFields = [.contentType: file.type, .eTag: file.tag, .cacheControl: "no-cache"]
        if request.headers[.ifNoneMatch] == file.tag { return Response(status: .notModified, headers: headers) }
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: file.bytes))
      }
    }
  }

  private static func readChart() -> File? {
    let descriptor = open(chartFile, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    var found = stat()
    guard fstat(descriptor, &found) == 0, found.st_mode & S_IFMT == S_IFREG, found.st_size <= largestChart,
      let data = try? handle.read(upToCount: largestChart)
    else { return nil }
    return File("text/javascript; charset=utf-8", data)
  }
}
