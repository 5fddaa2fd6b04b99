/// Who is told of what has happened, how, and how often.
public struct AlertSettings: Sendable, Equatable {
  /// To whom mail goes, and how.
  public struct Mail: Sendable, Equatable {
    /// How mail leaves.
    public enum Way: Sendable, Equatable {
      /// A program that takes a message as `sendmail` does, and its first arguments.
      case program([String])
      case smtp(host: String, port: Int)
    }

    public var to: [String]
    /// Nothing: `mailwarden` at the machine's name.
    public var from: String?
    public var way: Way
    /// Mustache templates; nothing for the built-in ones.
    public var subject: String?
    public var body: String?

    public init(
      to: [String], from: String? = nil, way: Way = .program(["/usr/sbin/sendmail"]), subject: String? = nil,
      body: String? = nil
    ) {
      self.to = to
      self.from = from
      self.way = way
      self.subject = subject
      self.body = body
    }
  }

  /// A web address that is told.
  public struct Webhook: Sendable, Equatable {
    public var url: String
    /// The path of the file with what signs; nothing: unsigned.
    public var secretFile: String?

    public init(url: String, secretFile: String? = nil) {
      self.url = url
      self.secretFile = secretFile
    }
  }

  public var mail: Mail?
  public var webhook: Webhook?
  /// A program's path and its arguments.
  public var run: [String]?
  /// How long the first message gathers what begins together, and how far apart messages are.
  public var wait: TimeSpan
  public var interval: TimeSpan
  /// After how long somebody is reminded of what goes on.
  public var again: TimeSpan
  /// At most so many messages in any such time.
  public var most: Int
  public var mostWindow: TimeSpan
  /// Of the longest silence of a week, in tenths, from which on silence is distress; nothing: never.
  public var silence: Int?

  public init(
    mail: Mail? = nil, webhook: Webhook? = nil, run: [String]? = nil, wait: TimeSpan = .seconds(10),
    interval: TimeSpan = .minutes(5), again: TimeSpan = .hours(4), most: Int = 12, mostWindow: TimeSpan = .hours(1),
    silence: Int? = 30
  ) {
    self.mail = mail
    self.webhook = webhook
    self.run = run
    self.wait = wait
    self.interval = interval
    self.again = again
    self.most = most
    self.mostWindow = mostWindow
    self.silence = silence
  }
}
