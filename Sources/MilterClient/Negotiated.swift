extension MilterClient {
  /// What the filter chose out of what the MTA offered.
  public struct Negotiated: Sendable, Hashable {
    public var version: UInt32
    /// `SMFIF_` bits.
    public var actions: UInt32
    /// `SMFIP_` bits.
    public var steps: UInt32
    /// The macros that the filter asked for, by stage (`SMFIM_`: 0 connect, 1 helo, 2 mail, 3 recipient, 4 data,
    /// 5 end of message, 6 end of headers). A stage without an entry leaves the choice to the MTA.
    public var macros: [Int32: [String]]

    init(_ payload: [UInt8]) throws(MilterClientError) {
      var reader = PayloadReader(payload)
      version = try reader.number()
      actions = try reader.number()
      steps = try reader.number()
      macros = [:]
      while !reader.isAtEnd {
        let stage = Int32(bitPattern: try reader.number())
        macros[stage] = try reader.string().split { $0 == " " || $0 == "," || $0 == "\t" }.map(String.init)
      }
    }
  }

  /// Header values go out with their leading space.
  static let leadingSpace: UInt32 = 0x10_0000
  /// The filter names the macros that it wants.
  static let setsMacroLists: UInt32 = 0x100
}
