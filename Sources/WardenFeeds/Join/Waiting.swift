import WardenCore

/// Things that are certain only when nothing has come up against them for a while, oldest first. All wait equally long.
struct Waiting<Item> {
  private let patience: TimeSpan
  private let bound: Int
  private var items: [(due: Timestamp, item: Item)] = []
  private var head = 0

  /// - Parameter bound: beyond that the oldest do not wait any longer.
  init(_ patience: TimeSpan, bound: Int) {
    self.patience = patience
    self.bound = bound
  }

  mutating func add(_ item: Item, at now: Timestamp) { items.append((now + patience, item)) }

  mutating func next(at now: Timestamp) -> Item? {
    guard head < items.count, items[head].due <= now || items.count - head > bound else { return nil }
    return take()
  }

  /// The next one, due or not.
  mutating func take() -> Item? {
    guard head < items.count else { return nil }
    head += 1
    let item = items[head - 1].item
    if head == items.count {
      items.removeAll(keepingCapacity: true)
      head = 0
    } else if head >= 1_024, head * 2 >= items.count {
      items.removeFirst(head)
      head = 0
    }
    return item
  }
}
