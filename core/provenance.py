"""A mark for edited pictures that other programs read: XMP inside the PNG, every pixel as it was."""

import struct
import zlib
from xml.sax.saxutils import quoteattr

_HEADER_BYTES = 33  # the signature and the first chunk, IHDR, of every PNG
_EDITED = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:ext="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    ' ext:DigitalSourceType="{source}" dc:identifier={job_id}/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


def mark(png: bytes, *, job_id: str) -> bytes:
    """The same PNG with IPTC's digital source type "composite with trained algorithmic media" and the job's id.

    Anybody can remove it: it informs, and proves nothing.

    Source: IPTC Photo Metadata Standard 2023.1, Digital Source Type; PNG (ISO/IEC 15948), iTXt.
    """
    text = _XMP.format(source=_EDITED, job_id=quoteattr(job_id)).encode()
    content = b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + text
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return png[:_HEADER_BYTES] + chunk + png[_HEADER_BYTES:]
