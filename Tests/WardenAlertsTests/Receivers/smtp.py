"""An SMTP server with a fault. Prints its port, then each line that it is told.

  smtp.py FAULT [ADDRESS]    none, rcpt (refuses some@), all (refuses everybody), hang, endless, garbage, hang-up, data
"""
import socket
import sys
import time

fault = sys.argv[1]
address = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
listener = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
print(listener.getsockname()[1], flush=True)
while True:
    client, _ = listener.accept()
    try:
        stream = client.makefile("rwb")

        def say(text):
            stream.write(text.encode() + b"\r\n")
            stream.flush()

        if fault == "hang":
            time.sleep(600)
        if fault == "endless":
            while True:
                say("220-" + "x" * 500)
        if fault == "garbage":
            say("\x1b[2J\x1b[31mSSH-2.0\u202e")
        if fault == "hang-up":
            client.shutdown(socket.SHUT_RDWR)
            continue
        say("220-several\r\n220 lines")
        in_data = False
        for line in stream:
            text = line.decode().removesuffix("\r\n")
            print(text, flush=True)
            if in_data:
                if text == ".":
                    in_data = False
                    say("452 no room" if fault == "data" else "250 2.0.0 Ok: queued as ABC")
            elif text == "DATA":
                in_data = True
                say("354 go on")
            elif text.startswith("RCPT") and (fault == "all" or fault == "rcpt" and "some@" in text):
                say("550-5.1.1 nobody\r\n550 5.1.1 \x1b[2Jof that name")
            elif text == "QUIT":
                say("221 bye")
                break
            else:
                say("250-mx.example.org\r\n250 Ok" if text.startswith("EHLO") else "250 Ok")
    except OSError:
        pass
    finally:
        client.close()
