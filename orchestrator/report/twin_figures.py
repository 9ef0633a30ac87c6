"""Pictures of calibration: histograms of the probability integral transform, and coverage over the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator, NullFormatter

from theoros.models.twins.scoring_calibration import coverage_by_bin, equal_bins
from theoros.orchestrator.report.canvas import canvas, plain
from theoros.orchestrator.report.twin import Tested

#: Bars of a histogram; labels that each bin of an input holds at least, and bins at most; and inputs that are shown.
BARS, LEAST, MOST_BINS, MOST_INPUTS = 10, 12, 6, 4


def histograms(found: Sequence[Tested]) -> Any:
    """One panel for each output: flat, within the band that holds 90 % of honest bars, when what is told is honest."""
    from scipy.stats import binom  # a second to load, which other reports need not pay

    figure, panels = canvas(1, len(found), 3.6 * len(found), 3.2)
    for axes, one in zip(panels, found, strict=True):
        n = len(one.pit)
        low, high = (float(binom.ppf(share, n, 1 / BARS)) for share in (0.05, 0.95))
        axes.axhspan(low, high, color="0.88")
        axes.hist(one.pit, bins=BARS, range=(0, 1), color="tab:blue", edgecolor="white")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel(f"PIT of {plain(one.output)}")
    panels[0].set_ylabel("labels")
    return figure


def has_bins(found: Sequence[Tested]) -> bool:
    """Whether there are labels enough to look at places apart, and parameters that are numbers."""
    return bool(found) and all(len(one.pit) >= 2 * LEAST for one in found) and bool(shared_inputs(found))


def shared_inputs(found: Sequence[Tested]) -> list[str]:
    """The inputs that vary over the labels of every output: where some labels lack one, they need not be the same."""
    return [name for name in found[0].inputs if all(name in one.inputs for one in found)] if found else []


def coverages(found: Sequence[Tested]) -> Any:
    """Shares inside the central intervals in bins of each input (columns), for each output (rows), by what is due."""
    names = shared_inputs(found)[:MOST_INPUTS]
    figure, panels = canvas(len(found), len(names), 3.4 * len(names), 2.8 * len(found))
    for place, axes in enumerate(panels):
        one, name = found[place // len(names)], names[place % len(names)]
        inputs = one.inputs[name]
        bins = coverage_by_bin(one.pit, inputs, equal_bins(inputs, min(MOST_BINS, len(one.pit) // LEAST)))
        middles = [float(np.median(inputs[(inputs >= b.low) & (inputs <= b.high)])) for b in bins]
        for i, level in enumerate(bins[0].levels if bins else ()):
            color = f"C{i}"
            axes.axhline(level, color=color, ls="--", lw=1)
            shares, errors = [b.coverage[i] for b in bins], [b.error[i] for b in bins]
            axes.errorbar(middles, shares, yerr=errors, color=color, marker="o", ms=4, lw=1.2, label=f"{level:.0%}")
        axes.set_ylim(0, 1.05)
        if inputs.min() > 0 and inputs.max() > 30 * inputs.min():
            axes.set_xscale("log")
            axes.set_xlim(inputs.min(), inputs.max())
            axes.xaxis.set_minor_formatter(NullFormatter())  # between decades there is no room for numbers
        axes.set_xlabel(plain(name))
        if place % len(names) == 0:
            axes.set_ylabel(f"share of {plain(one.output)} inside")
    panels[0].legend(fontsize="small")
    return figure
