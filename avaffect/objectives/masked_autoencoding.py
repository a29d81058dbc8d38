"""Contrastive audiovisual masked autoencoding: CAV-MAE (Gong et al. 2023), Social-MAE (Bohy et al.
2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.models.cavmae import CAVMAE, JOINT, LETTERS, chosen, groups
from avaffect.models.cavmae_decoder import CAVMAEDecoder, DecoderConfiguration
from avaffect.models.encoder import Encoder
from avaffect.models.patches import gathered, hidden, visible
from avaffect.objectives.base import Context, Needs, ParameterGroup, Pretraining, Step
from avaffect.objectives.groups import decayed_groups
from avaffect.objectives.losses.audiovisual_contrast import contrast
from avaffect.objectives.losses.patch_reconstruction import normalised, patch_errors
from avaffect.settings.pretrain_mae import VIDEO_ORDERS
from avaffect.signal import draws

NAMES = {WAVEFORM: "audio", FACE: "video"}
LEARNED = 0.99
"""Share of the error of the mean patch above which nothing was reconstructed."""


@dataclass(frozen=True)
class MaskedAutoencodingConfiguration:
    """masked_audio, masked_video  shares of the patches that are hidden
    contrast     weight beside the reconstruction's 1
    temperature  of the contrast
    both_ways    contrast of each audio with all videos, too, not only the reverse
    normalise    each patch is brought to mean 0 and variance 1 before it is a target
    video_order  of the targets: the encoder's, or that of the released code (time slowest) against
                 tokens in the encoder's, as its weights were trained
    """

    decoder: DecoderConfiguration = field(default_factory=DecoderConfiguration)
    masked_audio: float = 0.75
    masked_video: float = 0.75
    contrast: float = 0.01
    temperature: float = 0.05
    both_ways: bool = False
    normalise: bool = False
    video_order: str = "encoder"


@dataclass
class Reconstruction:
    """Of n utterances with the same streams, by stream.

    kept       (n, K) visible patches
    predicted  (n, N, values)
    wanted     (n, N, values)
    embedded   (n, K, dim) tokens of the stream alone, of utterances with both
    """

    kept: dict[str, Tensor]
    predicted: dict[str, Tensor]
    wanted: dict[str, Tensor]
    embedded: dict[str, Tensor]


class MaskedAutoencoding(Pretraining):
    """Reconstruction of hidden patches from the visible ones of both streams, losses "audio" and
    "video", and "contrast" of the mean tokens of one stream with those of the other.

    Only visible patches pass the encoders. An utterance without one stream is reconstructed from
    the other and takes no part in the contrast. Patches of padding after the end of a sound are
    among the tokens, but not counted in the loss. Metrics: "reconstruction" is the mean error of
    both; "audio_mean" and "video_mean" are the errors of the mean of a clip's visible patches,
    padding left out, in place of the predicted ones; "matched_audio" is the share of videos whose
    own audio, of all in the batch, is the most similar, "matched_video" the reverse, and "chance"
    what both would be at random. In evaluation both compare clips of which nothing is hidden.
    """

    loss = "reconstruction"
    betas = (0.95, 0.999)
    gathers = True
    encoder: CAVMAE

    def __init__(self, encoder: Encoder, configuration: MaskedAutoencodingConfiguration) -> None:
        c = configuration
        super().__init__({"audio": 1.0, "video": 1.0, "contrast": c.contrast})
        if not isinstance(encoder, CAVMAE):
            raise ValueError(f"masked autoencoding trains a CAVMAE, not a {type(encoder).__name__}")
        for share in (c.masked_audio, c.masked_video):
            if not 0.0 < share < 1.0:
                raise ValueError(f"a masked share of {share}: it must be between 0 and 1")
        if c.video_order not in VIDEO_ORDERS:
            raise ValueError(f"video_order {c.video_order!r}: encoder or released")
        self.configuration = c
        self.encoder = encoder
        self.decoder = CAVMAEDecoder(c.decoder, encoder.configuration)
        self.shares = {WAVEFORM: c.masked_audio, FACE: c.masked_video}
        self.coupled = c.contrast > 0

    @property
    def needs(self) -> Needs:
        return Needs(together=2 if self.coupled else 1)

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        there = self.encoder.there(batch)
        noise = {s: self.noise(batch, s, context.generator) for s in self.encoder.streams}
        zero = self.decoder.mask_token.new_zeros(())
        # All ranks count the same losses, whatever their utterances have.
        errors, means = dict.fromkeys(NAMES, zero), dict.fromkeys(NAMES, zero)
        counts = dict.fromkeys(NAMES, 0.0)
        both: Mapping[str, Tensor] = {}
        whole: Mapping[str, Tensor] = {}
        for rows, streams in groups(there):
            part = chosen(batch, rows)
            patches = {stream: self.encoder.patches(part, stream) for stream in streams}
            found = self.reconstruct(patches, {stream: noise[stream][rows] for stream in streams})
            if found.embedded:
                both, whole = found.embedded, self._whole(patches, found)
            for stream in streams:
                error, mean, count = self._errors(found, stream, part)
                errors[stream] = errors[stream] + error
                means[stream] = means[stream] + mean
                counts[stream] += count
        step = Step(
            {NAMES[s]: (error, counts[s]) for s, error in errors.items()},
            {f"{NAMES[s]}_mean": (mean, counts[s]) for s, mean in means.items()},
        )
        step.metrics[self.loss] = (sum(errors.values(), zero).detach(), sum(counts.values()))
        if self.coupled:
            self._contrast(step, both, whole, context)
        return step

    def noise(self, batch: Batch, stream: str, generator: torch.Generator) -> Tensor:
        """(B, N): the patches of an utterance with the least are visible."""
        count = self.encoder.configuration.patch_count(stream)
        drawn = draws.uniform(generator, len(batch), count)
        return drawn.to(self.decoder.mask_token.device)

    def reconstruct(
        self, patches: Mapping[str, Tensor], noise: Mapping[str, Tensor]
    ) -> Reconstruction:
        """patches: stream -> (n, N, values) of utterances that have all of these streams; noise:
        stream -> (n, N)."""
        kept = {stream: visible(noise[stream], self.shares[stream]) for stream in patches}
        tokens = {s: self.encoder.encode(s, patches[s], kept[s]) for s in patches}
        joint = self.encoder.join(torch.cat(list(tokens.values()), dim=1), JOINT)
        alone: dict[str, Tensor] = {}
        if self.coupled and len(patches) == len(LETTERS):
            alone = {s: self.encoder.join(x, LETTERS[s]) for s, x in tokens.items()}
        wanted = {stream: self.wanted(stream, patches[stream]) for stream in patches}
        return Reconstruction(kept, self.decoder(joint, kept), wanted, alone)

    def _whole(self, patches: Mapping[str, Tensor], found: Reconstruction) -> Mapping[str, Tensor]:
        """(n, K, dim) by stream, the tokens that are matched: in training the visible ones, which
        are there already, otherwise all."""
        if self.training:
            return found.embedded
        with torch.no_grad():
            return {
                stream: self.encoder.join(self.encoder.encode(stream, values), LETTERS[stream])
                for stream, values in patches.items()
            }

    def wanted(self, stream: str, patches: Tensor) -> Tensor:
        """(n, N, values): the targets of the decoder's outputs."""
        return self._reordered(stream, patches, back=False)

    def in_order(self, stream: str, values: Tensor) -> Tensor:
        """(n, N, values) in the order of `wanted` -> in that of the encoder's patches."""
        return self._reordered(stream, values, back=True)

    def _reordered(self, stream: str, values: Tensor, back: bool) -> Tensor:
        if stream != FACE or self.configuration.video_order == "encoder":
            return values
        c = self.encoder.configuration
        tubes = c.pictures // c.tube
        sizes = (tubes, -1) if back else (-1, tubes)
        return values.unflatten(1, sizes).transpose(1, 2).flatten(1, 2)

    def _errors(
        self, found: Reconstruction, stream: str, batch: Batch
    ) -> tuple[Tensor, Tensor, float]:
        """Sums over masked patches of the error, and of that of the mean patch; their number."""
        wanted = found.wanted[stream]
        counted = hidden(found.kept[stream], wanted.shape[1])
        there = torch.ones_like(counted)
        if stream == WAVEFORM:
            there = self.encoder.heard(batch)
        counted = counted & there
        normalise = self.configuration.normalise
        error = patch_errors(found.predicted[stream], wanted, normalise)
        with torch.no_grad():
            targets = normalised(wanted) if normalise else wanted
            # Without padding, which is far from any sound.
            seen = gathered(there[..., None].to(targets.dtype), found.kept[stream])
            total = (gathered(targets, found.kept[stream]) * seen).sum(dim=1, keepdim=True)
            mean = total / seen.sum(dim=1, keepdim=True).clamp(min=1)
            constant = patch_errors(mean.expand_as(targets), targets)
        return (error * counted).sum(), (constant * counted).sum(), float(counted.sum())

    def _contrast(
        self, step: Step, embedded: Mapping[str, Tensor], whole: Mapping[str, Tensor],
        context: Context,
    ) -> None:  # fmt: skip
        """Add the contrast of utterances with both streams, those of other ranks included."""
        own, everyone, places = self._means(embedded, context)
        seen, seen_by_all = own, everyone
        if not self.training:
            seen, seen_by_all, _ = self._means(whole, context)
        rows, total = len(own[FACE]), len(everyone[FACE])
        value = torch.zeros((), device=places.device)
        temperature = self.configuration.temperature
        for anchor, candidate in ((FACE, WAVEFORM), (WAVEFORM, FACE)):
            losses, matched = contrast(own[anchor], everyone[candidate], places, temperature)
            if not self.training:
                _, matched = contrast(seen[anchor], seen_by_all[candidate], places, temperature)
            step.metrics[f"matched_{NAMES[candidate]}"] = (matched.float().sum(), float(rows))
            if self.configuration.both_ways:
                value = value + losses.sum() / 2
            elif anchor == FACE:
                value = value + losses.sum()
        step.losses["contrast"] = (value, float(rows))
        step.metrics["chance"] = (rows / max(1, total), float(rows))

    def _means(
        self, embedded: Mapping[str, Tensor], context: Context
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
        """stream -> (n, dim) mean tokens of this rank, (m, dim) of all ranks, and the places (n,)
        of the first among the second."""
        own: dict[str, Tensor] = {}
        for stream in LETTERS:
            if embedded:
                own[stream] = embedded[stream].float().mean(dim=1)
            else:
                # No row, but with gradients: all ranks pass them on together.
                own[stream] = self.encoder.get_parameter("modality_a")[0, :0]
        start, everyone = 0, own
        if context.gather is not None:
            start, everyone = context.gather(own)
        return own, everyone, torch.arange(start, start + len(own[FACE]), device=own[FACE].device)

    def parameter_groups(self, phase: str = "main") -> list[ParameterGroup]:
        return decayed_groups(self)

    def collapse(self, metrics: Mapping[str, float]) -> str | None:
        """A message if the last steps had nothing to contrast, or the mean patch is as good as what
        is reconstructed; otherwise None."""
        found = [self._not_contrasted(metrics), _not_reconstructed(metrics)]
        return "; ".join(message for message in found if message is not None) or None

    def _not_contrasted(self, metrics: Mapping[str, float]) -> str | None:
        trained = any(name in metrics for name in NAMES.values())
        if not self.coupled or not trained or "contrast" in metrics:
            return None
        return "no utterance of the last steps has both audio and video: nothing was contrasted"


def _not_reconstructed(metrics: Mapping[str, float]) -> str | None:
    for prefix, where in (("", ""), ("development_", " on development")):
        for name in NAMES.values():
            error, mean = metrics.get(prefix + name), metrics.get(f"{prefix}{name}_mean")
            if error is not None and mean is not None and error >= LEARNED * mean:
                return (
                    f"the error {error:.3f} of the {name}{where} is no better than that of the "
                    f"mean patch ({mean:.3f}): nothing was reconstructed yet"
                )
    return None
