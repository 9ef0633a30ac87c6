"""Structures of molecules as drawings that stand in the page itself."""

from __future__ import annotations

import re
from typing import Any

from theoros.orchestrator.report.html import Html, tag

#: Molecules of more heavy atoms are named and not drawn: nothing could be seen, and the page would swell.
MOST_DRAWN = 75
#: What RDKit writes and nothing needs: classes of atoms and bonds, and what SVG has by default; a third of a drawing.
_SUPERFLUOUS = re.compile(
    r" class='[^']*'|(?<=fill:none;)fill-rule:evenodd;|;stroke-linecap:butt|;stroke-linejoin:miter|;stroke-opacity:1"
)


def readable(smiles: str) -> Any | None:
    """RDKit's molecule; None for text that is none. Names and extensions (CXSMILES), which may hold any text, are not
    read.
    """
    from rdkit import Chem, rdBase

    parameters: Any = Chem.SmilesParserParams()
    parameters.allowCXSMILES, parameters.parseName = False, False
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles, parameters)
    return molecule if molecule is not None and molecule.GetNumAtoms() else None


def structure(smiles: str, width: int = 220, height: int = 160) -> Html:
    """The molecule drawn as an SVG of `width` times `height` pixels; words in its place where it can't be drawn."""
    from rdkit.Chem.Draw import rdMolDraw2D

    molecule = readable(smiles)
    if molecule is None or molecule.GetNumHeavyAtoms() > MOST_DRAWN:
        told = "no structure" if molecule is None else f"{molecule.GetNumHeavyAtoms()} heavy atoms, not drawn"
        return tag("div", told, class_="undrawn")
    drawing = rdMolDraw2D.MolDraw2DSVG(width, height)
    options: Any = drawing.drawOptions()
    options.clearBackground = False
    rdMolDraw2D.PrepareAndDrawMolecule(drawing, molecule)
    drawing.FinishDrawing()
    drawn = re.search(r"<!-- END OF HEADER -->(.*)</svg>", str(drawing.GetDrawingText()), re.DOTALL)
    shapes = Html(_SUPERFLUOUS.sub("", drawn.group(1)).strip() if drawn else "")
    box = f"0 0 {width} {height}"
    return tag("svg", shapes, viewBox=box, width=width, height=height, role="img", aria_label=smiles)
