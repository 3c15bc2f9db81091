"""From sentences to what an editor is given."""

from core.diffusion.backbone import Backbone
from core.diffusion.editing.subject import EditSubject, Text
from core.diffusion.inversion.inversion import Inversion
from core.domain.edit_specs import EditSpec


def encode_edit(
    backbone: Backbone, spec: EditSpec, inversion: Inversion, *, source: str, target: str, guidance: float
) -> EditSubject:
    """Both prompts, and every sentence that the method's parameters hold, in the precision of the inversion.

    Raises:
        InputError: PROMPT_TOO_LONG.
    """

    def read(sentence: str) -> Text:
        prompt = backbone.vocabulary.parse(sentence)
        return Text(prompt, backbone.encode_text(prompt).to(inversion.path))

    return EditSubject(
        inversion,
        source=read(source),
        target=read(target),
        null=read("").embedding,
        guidance=guidance,
        sentences={name: read(sentence).embedding for name, sentence in spec.sentences(source, target).items()},
        projections=backbone.projections,
    )
