"""PNG files that carry a recipe and the statement that the picture is synthetic.

The recipe lies in an iTXt chunk named `sfhub:recipe`, beside an XMP packet with IPTC's digital source type.
"""

import io
import json
import os
from pathlib import Path
from xml.sax.saxutils import quoteattr

from PIL import Image, PngImagePlugin

from sfhub.errors import InputError, clipped
from sfhub.limits import check_file
from sfhub.steps.recipe import Recipe, check_recipe

__all__ = ["DIGITAL_SOURCE_TYPE", "png_bytes", "read_recipe"]

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CHUNK = "sfhub:recipe"
XMP_CHUNK = "XML:com.adobe.xmp"
MAX_CHARACTERS = 2**20


def png_bytes(image: Image.Image, recipe: Recipe) -> bytes:
    """`image` as a PNG file that carries `recipe` and the statement that it is synthetic."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(CHUNK, json.dumps(recipe, separators=(",", ":")))
    info.add_itxt(XMP_CHUNK, _xmp_packet(recipe))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def _xmp_packet(recipe: Recipe) -> str:
    model = recipe["model"]
    tool = f"sfhub {recipe['package']['version']}, model {model['name']}, revision {model['revision']}"
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f" Iptc4xmpExt:DigitalSourceType={quoteattr(DIGITAL_SOURCE_TYPE)} xmp:CreatorTool={quoteattr(tool)}/>"
        '</rdf:RDF></x:xmpmeta>\n<?xpacket end="r"?>'
    )


def read_recipe(image: str | os.PathLike[str] | Image.Image) -> Recipe:
    """The checked recipe inside a picture.

    Args:
        image: a PNG file, or a picture opened from one.

    Raises:
        InputError: if the file cannot be read, carries no recipe, or a damaged one.
    """
    name = "The picture" if isinstance(image, Image.Image) else clipped(Path(image).name)
    try:
        if isinstance(image, Image.Image):
            text = image.info.get(CHUNK)
        else:
            check_file(Path(image))
            with Image.open(image, formats=["PNG"]) as opened:
                text = opened.info.get(CHUNK)
    except InputError:
        raise
    except Exception as error:  # the bytes are a stranger's: whatever reading them raises, they are at fault
        raise InputError(
            f"{name} cannot be read as a PNG file; give a picture that sfhub saved, unchanged by other programs."
        ) from error
    if not isinstance(text, str):
        raise InputError(
            f"{name} carries no recipe; only PNG files saved by sfhub do, and other programs drop it on saving again."
        )
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"The recipe in {name} has {len(text)} characters, more than the {MAX_CHARACTERS} allowed.")
    try:
        recipe = json.loads(text)
    except (ValueError, RecursionError) as error:
        # ValueError: no JSON, or a number of more digits than Python converts.
        raise InputError(f"The recipe in {name} is damaged: it is not JSON; use the file as sfhub saved it.") from error
    return check_recipe(recipe)
