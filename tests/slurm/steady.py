"""`avaffect`, with a larger epsilon of Adam in training.

With the usual one Adam makes steps of the learning rate of gradients that are 0 but for rounding:
sums in another order, as of two ranks, move such weights by 1e-4.
"""

from __future__ import annotations

import sys

EPSILON = 1e-3
TRAINING = ("pretrain-hubert", "adapt")


def main() -> None:
    from avaffect.cli import interruption

    # As avaffect.__main__ does.
    interruption.install()
    try:
        if sys.argv[1] in TRAINING:
            from avaffect.objectives.base import Objective

            Objective.epsilon = EPSILON
    except (interruption.Terminated, KeyboardInterrupt):
        interruption.finish()
        sys.exit(75)
    from avaffect.__main__ import main as run

    run()


if __name__ == "__main__":
    main()
