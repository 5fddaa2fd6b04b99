"""Reads a message on standard input as mail programs do; prints what they see as JSON."""
import email
import email.policy
import json
import sys

raw = sys.stdin.buffer.read()
message = email.message_from_bytes(raw, policy=email.policy.default)
print(json.dumps({
    "headers": [[name, str(value)] for name, value in message.items()],
    "body": message.get_content(),
    "defects": [str(d) for d in message.defects] + [str(d) for v in message.values() for d in v.defects],
    "parts": len(list(message.walk())),
    "longest": max(len(line) for line in raw.split(b"\n")),
    "is_ascii": all(b < 0x80 for b in raw),
}))
