"""One static HTML file out of sections: text, tables and pictures, everything inside the file."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

import jinja2

from rupantara import __version__

_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --line: #8885; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
nav { margin: 1rem 0; } nav a { margin-right: 1rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } caption { text-align: left; font-weight: 600; padding: .3rem 0; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; } figcaption, .note { color: #777; }
code { background: var(--soft); padding: 0 .2em; }
</style></head><body>
<h1>{{ title }}</h1><p class="note">rupantara {{ version }}. Generated faces in this report are synthetic.</p>
<nav>{% for s in sections %}<a href="#s{{ loop.index }}">{{ s.title }}</a>{% endfor %}</nav>
{% for s in sections %}<section id="s{{ loop.index }}"><h2>{{ s.title }}</h2>
{% for p in s.paragraphs %}<p>{{ p }}</p>{% endfor %}
{% for t in s.tables %}<div class="scroll"><table><caption>{{ t.caption }}</caption>
<thead><tr>{% for h in t.header %}<th scope="col">{{ h }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in t.rows %}<tr>{% for c in row %}<td>{{ c }}</td>{% endfor %}</tr>{% endfor %}</tbody></table></div>{% endfor %}
{% for f in s.figures %}<figure><img alt="{{ f.caption }}" src="data:{{ f.kind }};base64,{{ f.encoded }}">
<figcaption>{{ f.caption }}</figcaption></figure>{% endfor %}</section>{% endfor %}
</body></html>
"""


@dataclass(frozen=True)
class Table:
    """A caption, a header and rows of text."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Figure:
    """A picture as PNG or JPEG bytes, and what it shows."""

    caption: str
    data: bytes

    @property
    def kind(self) -> str:
        """Return the media type."""
        return "image/png" if self.data.startswith(b"\x89PNG") else "image/jpeg"

    @property
    def encoded(self) -> str:
        """Return the bytes as base64."""
        return base64.b64encode(self.data).decode()


@dataclass(frozen=True)
class Section:
    """One heading of the report; tables come before figures."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = field(default_factory=tuple)


def render(title: str, sections: Sequence[Section]) -> bytes:
    """Render the report; all text is escaped."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    page = environment.from_string(_TEMPLATE).render(title=title, sections=sections, version=__version__)
    return page.encode()
