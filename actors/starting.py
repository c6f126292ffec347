"""What is said where Ray does not start."""

from rupantara.errors import UserError


def start_error(error: Exception) -> Exception:
    """Return a UserError in place of Ray's error of a start that took too long, for which it has no type; others as they are."""
    if "timed out during startup" not in str(error):
        return error
    return UserError(
        "Ray did not start in time, the machine is too busy: run the command again when less runs beside it"
    )
