"""`extract-text`: vectors of the words that are spoken in utterances."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

from avaffect.core.errors import UsageError
from avaffect.core.nouns import count_of
from avaffect.core.progress import SILENT, Progress
from avaffect.data.store.reader import Store
from avaffect.data.transcripts import reading
from avaffect.recipes.common import training_run, work
from avaffect.recipes.encoding.spoken import is_of_frames
from avaffect.settings.extract_text import WITHOUT_TRANSFORMERS, ExtractTextSettings
from avaffect.training import text_model_files

# Seconds on either side of a frame (SAAML, appendix A.1).
AROUND_FRAMES_S = 2.0


def extract_text(settings: ExtractTextSettings, progress: Progress = SILENT) -> None:
    """Encode the words of each utterance and write their vectors.

    Raises DataError where the model's folder lacks something, a transcript is damaged, or no
    transcript is of a recording of the store and overlaps it; UsageError without transformers.
    """
    store = Store(settings.store)
    if settings.around is None:
        settings = replace(settings, around=AROUND_FRAMES_S if is_of_frames(store) else 0.0)
    transcripts = reading.find(settings.transcripts, settings.tier)
    if find_spec("transformers") is None:
        raise UsageError(WITHOUT_TRANSFORMERS)
    model = text_model_files.identity_of(text_model_files.files_of(settings.model))
    made = work.record(
        "extract-text",
        settings,
        work.store_inputs("media", [store]),
        [("transcripts", settings.transcripts, transcripts.content_id)],
        [("text-encoder", settings.model, model)],
    )
    plan = f"encode the words of {count_of(store.count, 'utterance')}"
    if training_run.is_done(settings, made, progress, plan):
        return
    from avaffect.recipes.encoding import text

    with training_run.working(settings, made, progress) as begun:
        if begun is not None:
            text.run(settings, store, transcripts, model, made, progress, begun)
