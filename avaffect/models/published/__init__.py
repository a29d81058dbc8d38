"""Published encoders, one file a family: each recognises its weights and converts them to ours.

Another package adds a family through an entry point of the group "avaffect.published" that names a
`source.Family`: a module, say.
"""

from avaffect.core.registry import Registry

FAMILIES = Registry("published model", "avaffect.published")
# Where nothing in a file tells which of several it is, wav2vec2 is meant, the last that may be.
for _name in ("avhubert", "hubert", "wav2vec2", "wavlm", "whisper"):
    FAMILIES.register(_name, None, f"{__name__}.{_name}")
