"""Bars as SVG: one figure for each service, in groups, with the range of the rounds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH, LABELS, VALUES = 760, 190, 110
BAR, GAP, GROUP, HEADER_HEIGHT = 20, 8, 34, 66

# Both kinds of paper: a page that shows the plot as an image says which one it has.
_STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.quiet { fill: #59636e }
.ours { fill: #2563a8 }
.others { fill: #a9b4c0 }
.range { stroke: #1f2328; stroke-width: 1.5; opacity: .55 }
.axis { stroke: #d1d9e0 }
.paper { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .quiet { fill: #9198a1 }
  .ours { fill: #58a6ff }
  .others { fill: #57606a }
  .range { stroke: #e6edf3 }
  .axis { stroke: #3d444d }
  .paper { fill: #0d1117 }
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """`low` and `high` are the range that `value` was taken from."""

    label: str
    value: float
    value_text: str
    is_own: bool
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A `label` is shown above the bars, unless it is empty. Each group has its own scale where
    `has_own_scale`."""

    label: str
    bars: Sequence[Bar]
    has_own_scale: bool = False


def render_plot(title: str, subtitle: str, groups: Sequence[Group]) -> str:
    maximum = max(map(_max_value, groups), default=0.0)
    parts, y = [], float(HEADER_HEIGHT)
    for group in groups:
        scale = (WIDTH - LABELS - VALUES) / (
            (_max_value(group) if group.has_own_scale else maximum) or 1.0
        )
        if group.label:
            parts.append(_render_text(LABELS, y + 14, group.label, "quiet"))
            y += 26
        begin = y
        for bar in group.bars:
            parts.extend(_render_bar(bar, y, scale))
            y += BAR + GAP
        parts.append(
            f'<line class="axis" x1="{LABELS}" x2="{LABELS}" y1="{begin - 3:g}" y2="{y - GAP + 3:g}"/>'
        )
        y += GROUP - 2 * GAP
    height = round(y)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' width="{WIDTH}" height="{height}" role="img" aria-label="{escape(title)}">\n'
        f"<style>{_STYLE}</style>\n"
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>\n'
        f"{_render_text(20, 28, title, 'title')}\n{_render_text(20, 48, subtitle, 'quiet')}\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _render_bar(bar: Bar, y: float, scale: float) -> Iterator[str]:
    length, middle = max(1.0, bar.value * scale), y + BAR / 2
    yield _render_text(LABELS - 10, middle + 4.5, bar.label, "", anchor="end")
    yield (
        f'<rect class="{"ours" if bar.is_own else "others"}" x="{LABELS}" y="{y:g}"'
        f' width="{length:.1f}" height="{BAR}" rx="2"/>'
    )
    end = length
    if bar.low is not None and bar.high is not None and bar.high > bar.low:
        low, high = bar.low * scale, bar.high * scale
        yield (
            f'<line class="range" x1="{LABELS + low:.1f}" x2="{LABELS + high:.1f}"'
            f' y1="{middle:g}" y2="{middle:g}"/>'
        )
        end = max(end, high)
    yield _render_text(LABELS + end + 8, middle + 4.5, bar.value_text, "")


def _render_text(x: float, y: float, text: str, kind: str, *, anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text{named} x="{x:.1f}" y="{y:g}"{anchored}>{escape(text)}</text>'


def _max_value(group: Group) -> float:
    return max((bar.high or bar.value for bar in group.bars), default=0.0)
