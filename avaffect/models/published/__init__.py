"""Published encoders, one file a family: each recognises its weights and converts them to ours.

Another package adds a family through an entry point of the group "avaffect.published" that names a
`source.Family`: a module, say.
"""

from avaffect.core.registry import Registry
from avaffect.settings.import_ import KINDS

FAMILIES = Registry("published model", "avaffect.published")
# Files that fit several families are wav2vec2's, the last in the list.
for _name in KINDS:
    FAMILIES.register(_name, None, f"{__name__}.{_name}")
