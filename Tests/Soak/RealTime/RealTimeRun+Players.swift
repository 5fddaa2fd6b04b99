import Foundation
import WardenTestKit

/// Who plays to it.
extension RealTimeRun {
  func begin() {
    watch()
    for number in 0..<3 { detach { self.playSMTP(self.postfix, self.postfixTurnstile, number) } }
    detach { self.playSMTP(self.sendmail, self.sendmailTurnstile, 7) }
    for number in 0..<2 { detach { self.playMilter(number) } }
    for mta in [postfix, sendmail] { detach { self.probe(mta) } }
    detach { self.sample() }
    detach { self.ask() }
  }

  func detach(_ body: @escaping @Sendable () -> Void) {
    let done = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      body()
      done.signal()
    }
    threads.append(done)
  }

  var goesOn: Bool { !isOver.withLock { $0 } }

  func playSMTP(_ mta: MTA, _ turnstile: Turnstile, _ player: Int) {
    let player = (
      number: player,
      smtp: SMTPPlayer(
        mta: mta, address: "127.0.70.\(player + 1)", books: books, absence: absence, reloading: reloading)
    )
    let plays = SMTPPlayer.plays(on: mta.kind)
    var number = player.number * 1_000
    while goesOn {
      number += 1
      // Half of all is honest mail.
      let play = number % 2 == 0 ? .mail : plays[number / 2 % plays.count]
      let perform = {
        do {
          try player.smtp.play(play, number: number)
          self.findings.check(.noSessionBroken, true, "")
        } catch {
          self.findings.check(.noSessionBroken, false, "\(error)")
        }
        self.books.note { $0.sessions += 1 }
      }
      if play == .broken {
        tracelessTurnstile.pass { turnstile.pass(perform) }
      } else {
        turnstile.pass(perform)
      }
    }
  }

  func playMilter(_ player: Int) {
    let milter = MilterPlayer(socket: daemon.milterSocket, books: books, absence: absence)
    var number = player
    while goesOn {
      number += 2
      var wasThere = true
      milterTurnstile.pass {
        do {
          wasThere = try milter.play(number: number)
          findings.check(.noSessionBroken, true, "")
        } catch {
          findings.check(.noSessionBroken, false, "\(error)")
        }
        if wasThere { books.note { $0.sessions += 1 } }
      }
      // Leaves the MTAs something of the machine.
      poll(nil, 0, wasThere ? 5 : 20)
    }
  }

  func probe(_ mta: MTA) {
    let prober = Prober(mta: mta, books: books)
    let turnstile = mta.kind == .postfix ? postfixTurnstile : sendmailTurnstile
    var number = 0
    while goesOn {
      number += 1
      turnstile.pass {
        do {
          let (isAccepted, words) = try prober.knock(from: number % 2 == 0 ? Prober.byRule : Prober.byOrder)
          findings.check(.blocked, !isAccepted, "\(mta.kind): \(words)")
        } catch {
          // Postfix lets go of a connection as it reloads: nothing was taken.
        }
      }
      poll(nil, 0, 50)
    }
  }
}
