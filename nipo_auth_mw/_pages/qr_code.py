"""QR codes (ISO/IEC 18004) as SVG inside a page, so no picture with a secret in it is ever requested. The only module
that imports segno."""

from __future__ import annotations

from functools import lru_cache

from markupsafe import Markup


@lru_cache(maxsize=1)
def qr_code_of_page(url: str) -> Markup:
    """As `qr_code`, for the one address that a whole sheet of slips repeats. It holds no secret."""
    return qr_code(url)


def qr_code(text: str) -> Markup:
    """The QR code of a text. It has attributes alone and no style, which the Content-Security-Policy would refuse.

    Dark on white in dark mode too, since many readers find no light code on a dark page.
    """
    # 30 ms, for pages that few processes show.
    import segno

    code = segno.make(text, error="m", micro=False)
    return Markup(code.svg_inline(omitsize=True, dark="#000", light="#fff", border=4, svgclass="qr"))  # noqa: S704  # nosec B704
