"""`avaffect`, and `python -m avaffect`, which is the same."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point. Never returns.

    Signals are handled before anything that takes time is imported, so that a job that a scheduler
    stops in its first second has the status of one that is to be requeued.
    """
    from avaffect.cli import interruption

    try:
        interruption.install()
        from avaffect.cli.main import main as run
    except BaseException as error:
        status = interruption.status_of(error)
        if status is None:
            raise
        # Or at the end of the interpreter another signal would have its default action.
        interruption.finish()
        sys.exit(status)
    run()


if __name__ == "__main__":
    main()
