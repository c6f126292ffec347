"""Generated pictures as files that say what they are: synthetic, made by whom, with what."""

import base64
import io
import json
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

from PIL import Image

from rupantara import __version__
from rupantara.generation import provenance
from rupantara.generation.protocol import Generated, Record
from rupantara.types import Picture

Format = Literal["png", "webp", "jpeg"]
MEDIA_TYPES: dict[str, Format] = {"image/png": "png", "image/webp": "webp", "image/jpeg": "jpeg"}
JPEG_QUALITY = 95


def xmp(record: Record) -> bytes:
    """Return an XMP packet with IPTC's source type, the tool, and the record as JSON."""
    told = json.dumps(provenance.told(record) | {"request_id": record.request_id}, sort_keys=True)
    about = f"Synthetic picture ({record.kind}), made by a trained model; no photograph."
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:rupantara="urn:rupantara:"'
        f" xmp:CreatorTool={quoteattr(f'rupantara {__version__}')}"
        f" Iptc4xmpExt:DigitalSourceType={quoteattr(provenance.SOURCE_TYPE)}>"
        f"<dc:description>{escape(about)}</dc:description><rupantara:parameters>{escape(told)}</rupantara:parameters>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def encode(picture: Picture, record: Record, kind: Format) -> bytes:
    """Encode a generated picture with its record in the metadata: PNG and WebP lossless, JPEG at quality 95."""
    if kind == "png":
        return provenance.png(picture, record.kind, provenance.told(record))
    sink = io.BytesIO()
    options: dict[str, Any] = {"lossless": True, "method": 2} if kind == "webp" else {"quality": JPEG_QUALITY}
    Image.fromarray(picture).save(sink, kind.upper(), xmp=xmp(record), **options)
    return sink.getvalue()


def as_json(made: Generated, kind: Format) -> dict[str, Any]:
    """Return what an answer in JSON tells of one generated picture, the picture in base64."""
    record = made.record
    told: dict[str, Any] = {
        "id": record.request_id,
        "kind": record.kind,
        "face_ids": list(record.face_ids),
        "species": record.species,
        "bank_ids": list(record.bank_ids),
        "scores": record.scores,
        "parameters": record.parameters,
        "seed": record.seed,
        "model_sha256": list(record.model_sha256),
        "digital_source_type": provenance.SOURCE_TYPE,
    }
    if made.picture is None:
        return told | {"reject": made.reject.as_row() if made.reject else None}
    return told | {
        "media_type": f"image/{kind}",
        "picture": base64.b64encode(encode(made.picture, record, kind)).decode(),
    }
