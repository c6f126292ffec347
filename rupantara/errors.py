"""Errors that a user can mend: each message is one line that names the subject, the rule and the value."""


class UserError(Exception):
    """Something the caller gave cannot be used; the message says what and why in one line."""


class RefusedError(UserError):
    """An output exists that another recipe made; the message lists both fingerprints and what differs."""


class MissingError(UserError):
    """A file, table or network that was named is not there."""


class NotFiniteError(UserError):
    """Numbers are NaN or infinite where they must be finite: losses, gradients, weights, vectors."""


class Rejected(Exception):
    """A row that a stage cannot use; it becomes the row's `reject` column and never leaves the stage."""

    def __init__(self, stage: str, reason: str, detail: str = "") -> None:
        super().__init__(stage, reason, detail)
        self.stage, self.reason, self.detail = stage, reason, detail

    def as_row(self) -> dict[str, str]:
        """Return the value of the `reject` column."""
        return {"stage": self.stage, "reason": self.reason, "detail": self.detail}
