#!/usr/bin/env python3
"""Draws a terminal: python3 scripts/terminal_picture.py RECORD > PICTURE.svg

RECORD is what `tmux capture-pane -e -p` prints: lines of text with escape sequences for colors.
"""
import html
import re
import sys

COLUMNS = 88
CELL, LINE, SIZE, EDGE, BAR = 8.43, 18, 14, 16, 30
BACK, FRONT = "#1e1e2e", "#cdd6f4"
COLORS = ["#45475a", "#f38ba8", "#a6e3a1", "#f9e2af", "#89b4fa", "#f5c2e7", "#94e2d5", "#bac2de"]
SEQUENCE = re.compile(r"\x1b\[([0-9;]*)m|\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|[\x00-\x08\x0e-\x1f]")


def pieces(line, look):
    """Splits a line at escape sequences: text with its look (color, bold, dim). `look` goes on in the next line."""
    at = 0
    for found in SEQUENCE.finditer(line):
        if found.start() > at:
            yield line[at : found.start()], dict(look)
        at = found.end()
        for code in (found.group(1) or "0").split(";") if found.group(1) is not None else []:
            number = int(code or 0)
            if number == 0:
                look.clear()
            elif number == 1:
                look["bold"] = True
            elif number == 2:
                look["dim"] = True
            elif number == 22:
                look.pop("bold", None), look.pop("dim", None)
            elif 30 <= number <= 37:
                look["color"] = COLORS[number - 30]
            elif 90 <= number <= 97:
                look["color"] = COLORS[number - 90]
            elif number == 39:
                look.pop("color", None)
    if at < len(line):
        yield line[at:], dict(look)


def draw(lines):
    width = round(2 * EDGE + COLUMNS * CELL)
    height = BAR + 2 * EDGE + len(lines) * LINE
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
    yield f'<rect width="{width}" height="{height}" rx="8" fill="{BACK}"/>'
    for index, color in enumerate(("#f38ba8", "#f9e2af", "#a6e3a1")):
        yield f'<circle cx="{EDGE + 4 + index * 18}" cy="20" r="5.5" fill="{color}"/>'
    yield f'<g font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="{SIZE}" fill="{FRONT}" xml:space="preserve">'
    look = {}
    for row, line in enumerate(lines):
        column, y = 0, BAR + EDGE + row * LINE + SIZE
        for text, how in pieces(line, look):
            style = f' fill="{how["color"]}"' if "color" in how else ""
            style += ' font-weight="bold"' if how.get("bold") else ""
            style += ' opacity="0.65"' if how.get("dim") else ""
            # Renderers drop spaces at the ends and in a row, so each part between them has a place of its own.
            for part in re.finditer(r"\S+(?: \S+)*", text):
                words, x = part.group(), EDGE + (column + part.start()) * CELL
                # The length holds the columns, whatever the font.
                yield (
                    f'<text x="{x:.1f}" y="{y}" textLength="{len(words) * CELL:.1f}"{style}>'
                    f"{html.escape(words, quote=False)}</text>"
                )
            column += len(text)
    yield "</g></svg>"


def main(record):
    with open(record, encoding="utf-8") as file:
        lines = file.read().rstrip("\n").split("\n")
    while lines and not SEQUENCE.sub("", lines[-1]).strip():
        lines.pop()
    print("\n".join(draw(lines)))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
