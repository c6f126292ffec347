"""The page's HTML, for jinja2."""

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reverse mapping</title><link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --accent: #0072B2; }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1.2rem 1rem 3rem; }
h1 { margin: 0 0 .3rem; font-size: 1.7rem; } h2 { margin-top: 2.6rem; border-bottom: 1px solid var(--line); font-size: 1.3rem; }
.answer { font-size: 1.15rem; border-left: .35rem solid var(--accent); padding: .2rem 0 .2rem .9rem; margin: 1rem 0; }
.note { opacity: .75; font-size: .92rem; } nav a { margin-right: .9rem; display: inline-block; }
.facts { display: flex; flex-wrap: wrap; gap: .6rem; padding: 0; list-style: none; }
.facts li { background: var(--soft); border-radius: .5rem; padding: .45rem .8rem; } .facts b { font-size: 1.15rem; }
figure { margin: 1.2rem 0; } figcaption { margin-bottom: .4rem; font-weight: 600; }
.scroll { overflow-x: auto; } .plot { background: #fff; border-radius: .4rem; padding: .3rem; min-width: 34rem; max-width: 56rem; }
.plot svg { display: block; width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } details { margin: .3rem 0 0; } summary { cursor: pointer; }
.card { display: grid; grid-template-columns: 13rem 1fr; gap: 1rem; border: 1px solid var(--line); border-radius: .6rem; padding: .8rem;
  margin: 1rem 0; } .face { position: relative; width: 13rem; height: 13rem; }
.face img { width: 100%; display: block; border-radius: .3rem; }
.boxes { position: absolute; inset: 0; } .boxes rect { fill: none; stroke: #fff; stroke-width: .8; filter: drop-shadow(0 0 .6px #000); }
.radar { width: 100%; margin-top: .5rem; } .radar circle, .radar line { fill: none; stroke: currentColor; opacity: .35; stroke-width: .6; }
.radar .half { stroke-dasharray: 3 3; opacity: .7; } .radar polygon { fill: #0072B2; fill-opacity: .3; stroke: #0072B2; }
.radar text { font-size: 10px; text-anchor: middle; fill: currentColor; }
.region { display: flex; align-items: center; gap: .6rem; margin: .25rem 0; flex-wrap: wrap; } .region > b { width: 5rem; }
.match { text-align: center; font-size: .8rem; } .match img, .none { width: 4.4rem; height: 4.4rem; border-radius: .3rem; display: block; }
.none { background: var(--soft); }
@media (max-width: 640px) { .plot { min-width: 27rem; } figcaption::after { content: " (swipe sideways)"; font-weight: 400; opacity: .7; }
  .card { grid-template-columns: 1fr; } .face { margin: auto; }
  .match img, .none { width: 3.9rem; height: 3.9rem; }
  h1 { font-size: 1.4rem; } .answer { font-size: 1.05rem; } .region > b { width: 100%; } }
</style></head><body>
<h1>Which animal, which region, how sure?</h1>
<p class="answer">{{ headline }}</p>
<p>{{ by_region }}</p>
<p>{{ over_spaces }}</p>
<ul class="facts">{% for value, what in facts %}<li><b>{{ value }}</b> {{ what }}</li>{% endfor %}</ul>
<p class="note">{{ caution }}</p>
<nav>{% for s in sections %}<a href="#{{ s.name }}">{{ s.title }}</a>{% endfor %}</nav>
{% for s in sections %}<section id="{{ s.name }}"><h2>{{ s.title }}</h2>
{% for p in s.paragraphs %}<p>{{ p }}</p>{% endfor %}
{% for f in s.figures %}<figure id="figure-{{ f.name }}"><figcaption>{{ f.caption }}</figcaption>
<div class="scroll"><div class="plot">{{ f.svg }}</div></div>
{% for t in f.tables %}<details><summary>{{ t.title }}</summary><div class="scroll"><table><thead><tr>
{% for h in t.header %}<th scope="col">{{ h }}</th>{% endfor %}</tr></thead><tbody>
{% for row in t.rows %}<tr>{% for c in row %}<td>{{ c }}</td>
{% endfor %}</tr>{% endfor %}</tbody></table></div></details>{% endfor %}</figure>{% endfor %}
{% for c in s.cards %}<article class="card" aria-label="face {{ c.face_id }}">
<div><div class="face"><img alt="face {{ c.face_id }}" src="{{ encoded(c.picture) }}">
{{ safe(boxes_svg(c)) }}</div>{{ safe(radar_svg(c)) }}</div><div>{% for region, found in c.matches.items() %}
<div class="region"><b>{{ region }}</b>
{% for m in found %}<span class="match">
{% if m.crop %}<img alt="{{ region }} of a {{ m.species }}" src="{{ encoded(m.crop) }}">{% else %}
<span class="none"></span>{% endif %}{{ m.species }} {{ "%.2f"|format(m.score) }}</span>{% endfor %}</div>{% endfor %}
<p class="note">{{ c.face_id }}</p></div></article>{% endfor %}
</section>{% endfor %}
<p class="note">rupantara {{ version }}. Figures (PNG, SVG) and tables (CSV, Parquet) lie beside this file in figures/ and tables/.</p>
</body></html>
"""
