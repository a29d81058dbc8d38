"""`avaffect predict`."""

from __future__ import annotations

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.predict import PredictSettings


def _call(settings: PredictSettings, progress: Progress) -> None:
    from avaffect.recipes.predict import predict

    predict(settings, progress)


command = make_command("predict", PredictSettings, _call)
