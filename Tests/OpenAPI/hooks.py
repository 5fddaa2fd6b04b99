"""Beyond ten wrong tokens at once the next is answered with 429: a refusal, too, which Schemathesis does not know as one."""

from schemathesis.specs.openapi import checks

checks.AUTH_REJECTION_STATUSES |= {429}
