/// Columns of text, each as wide as its widest cell.
enum Table {
  static func text(_ header: [String], _ rows: [[String]], rightAligned: Set<Int> = []) -> String {
    let lines = [header] + rows
    let widths = header.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    return lines.map { line in
      var text = ""
      for (column, cell) in line.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        text += rightAligned.contains(column) ? padding + cell : column == line.count - 1 ? cell : cell + padding
        if column < line.count - 1 { text += "  " }
      }
      return text
    }.joined(separator: "\n")
  }
}
