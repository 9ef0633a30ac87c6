"""A two-dimensional dry foam that coarsens: exact arc-network simulator, and a cheap lattice model beside it."""

from theoros.oracles.physics.foam.coarsening import K0, Frame, advance, coarsen, coarsen_to, rates
from theoros.oracles.physics.foam.equilibrium import equilibrate
from theoros.oracles.physics.foam.network import Foam, Topology
from theoros.oracles.physics.foam.raster import raster
from theoros.oracles.physics.foam.start import honeycomb, voronoi
from theoros.oracles.physics.foam.topology import T1, T2, Event

__all__ = [
    "K0",
    "T1",
    "T2",
    "Event",
    "Foam",
    "Frame",
    "Topology",
    "advance",
    "coarsen",
    "coarsen_to",
    "equilibrate",
    "honeycomb",
    "raster",
    "rates",
    "voronoi",
]
