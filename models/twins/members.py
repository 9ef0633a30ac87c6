"""The members of a twin, trained in two strides: where outcomes lie and how far they scatter, then in what shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

import torch
from torch import Tensor, nn

from theoros.models.sampling import derived_seed
from theoros.models.twins.beyond import Beyond
from theoros.models.twins.foreseen import Foreseen, nothing_foreseen
from theoros.models.twins.lessons import Lessons
from theoros.models.twins.location_scale import Ignorance, LocationScale, fit_location_scale
from theoros.models.twins.networks import Size
from theoros.models.twins.normal_shape import NormalShape
from theoros.models.twins.physics import Penalties, Situation
from theoros.models.twins.shape import PointNoise, Shape
from theoros.models.twins.training import Table, Training, descend

M = TypeVar("M", bound=nn.Module)

#: Builds a family's shape: members, conditions, outcomes, size, generator.
MakeShape = Callable[[int, int, int, Size, torch.Generator], Shape]
#: Complete labels below which residuals are taken to be normal.
LEAST_SHAPED = 32
#: Residuals are held within so many standard deviations where their shape is learned.
FARTHEST = 8.0
#: Labels at whose conditions draws are measured, and how many draws at each.
STRETCHED, DRAWN = 200, 32
#: Places at which laws are held against outcomes in one step.
BATCH = 64


@dataclass(frozen=True, eq=False)
class Members:
    """Trained members in standardised units, in double precision on the CPU.

    `stretch` (m) is the standard deviation of the shapes' draws, on average over members and labels. `foreseen` is how
    well members told labels that they had not seen.
    """

    location_scale: LocationScale | Ignorance
    shape: Shape
    stretch: Tensor
    foreseen: Foreseen

    def means(self, rows: Tensor) -> Tensor:
        """Means ``M x b x m`` at scaled conditions ``b x d``."""
        mean: Tensor = self.location_scale(rows.expand(self.location_scale.members, -1, -1))[0]
        return mean

    def draws(self, rows: Tensor, n: int, generator: torch.Generator | PointNoise) -> Tensor:
        """`n` outcomes at each of the scaled conditions ``b x d``: ``M x b x n x m``."""
        conditions = rows.expand(self.location_scale.members, -1, -1)
        mean, std = self.location_scale(conditions)
        shaped = self.shape.sample(conditions.repeat_interleave(n, dim=1), generator)
        drawn: Tensor = mean[:, :, None] + std[:, :, None] * shaped.view(*mean.shape[:2], n, mean.shape[-1])
        return drawn


def ignorant(members: int, outcomes: int) -> Members:
    """Members before any label."""
    shape, stretch = NormalShape(outcomes), torch.ones(outcomes).double()
    return Members(Ignorance(members, outcomes), shape, stretch, nothing_foreseen(outcomes))


def train_members(
    table: Table,
    make: MakeShape,
    training: Training,
    sizes: tuple[Size, Size],
    lessons: Lessons | None,
    *,
    seed: int,
    apart: bool = False,
) -> Members:
    """Train on `table`, from nothing; `sizes` are those of the networks of means and of shapes.

    Members that go on from earlier ones come to differ less than they are wrong (Ash & Adams, NeurIPS 2020,
    arXiv:1910.08475). With `apart`, members are told apart beyond the labels. Raises ArithmeticError when nothing
    finite is found.
    """
    d, m = table.conditions.shape[1], table.outcomes.shape[1]
    generator = torch.Generator().manual_seed(derived_seed(seed, "location"))
    model = LocationScale(table.members, d, m, sizes[0], generator).to(table.conditions.device)
    steps = training.count(len(table.outcomes))
    penalties = _penalties(lessons, "means", model, model.means, table, generator)
    fit_location_scale(model, table, training, steps, generator, penalties)
    generator.manual_seed(derived_seed(seed, "shape"))
    shape = _shaped(model, table, make, training, sizes[1], lessons, generator)
    stretch, foreseen = _stretch(shape, table, generator), Foreseen.of(model.left_out(table), table)
    if apart:
        generator.manual_seed(derived_seed(seed, "beyond"))
        model.beyond = Beyond(table.members, m, table.conditions.cpu(), generator)
    return Members(_settled(model), cast(Shape, _settled(cast(nn.Module, shape))), stretch, foreseen)


def _stretch(shape: Shape, table: Table, generator: torch.Generator) -> Tensor:
    """The standard deviation of the shape's draws (m), on average over members and the first labels."""
    m = table.outcomes.shape[1]
    if isinstance(shape, NormalShape):
        return torch.ones(m).double()
    conditions = table.everywhere()[:, :STRETCHED].repeat_interleave(DRAWN, dim=1)
    with torch.no_grad():
        drawn = shape.sample(conditions, generator)
    return drawn.view(table.members, -1, DRAWN, m).var(2).mean((0, 1)).sqrt().double().cpu()


def _settled(module: M) -> M:
    """In double precision, so that a row's answer does not depend on which rows it is asked with; it learns no more."""
    return module.double().cpu().requires_grad_(False)


def _shaped(
    model: LocationScale,
    table: Table,
    make: MakeShape,
    training: Training,
    size: Size,
    lessons: Lessons | None,
    generator: torch.Generator,
) -> Shape:
    """The shape of residuals that members predicted without having seen their labels."""
    complete, m = table.outcomes.isfinite().all(1), table.outcomes.shape[1]
    if int(complete.sum()) < LEAST_SHAPED:
        return NormalShape(m)
    residuals = model.left_out(table).residuals(table).clamp(-FARTHEST, FARTHEST)
    blind = table.blind[:, complete]
    blind = blind & ~blind.all(1, keepdim=True)  # a member must see something
    known = Table(table.conditions[complete], residuals[complete], blind)
    shape = make(table.members, known.conditions.shape[1], m, size, generator)
    module = cast(nn.Module, shape).to(known.conditions.device)

    def draws(rows: Tensor) -> Tensor:
        conditions = rows.expand(table.members, -1, -1)
        with torch.no_grad():
            mean, std = model(conditions)
        return cast(Tensor, mean + std * shape.sample(conditions, generator))

    penalties = _penalties(lessons, "draws", module, draws, table, generator)
    batch = known.batches(min(training.batch, len(known.outcomes)), generator)
    held_out = known.held_out()
    look = int(torch.randint(2**31, (1,), generator=generator))

    def score() -> Tensor:
        same = torch.Generator().manual_seed(look)  # every look draws the same numbers
        return penalties.judged(held_out.mean(shape.score(held_out.conditions, held_out.outcomes, same)))

    def loss() -> Tensor:
        return penalties.added(shape.loss(*batch(), generator))

    descend(module, loss, score, training.count(len(known.outcomes)), training.rates[1], training.decay)
    return shape


def _penalties(
    lessons: Lessons | None,
    on: Literal["means", "draws"],
    module: nn.Module,
    answer: Callable[[Tensor], Tensor],
    table: Table,
    generator: torch.Generator,
) -> Penalties:
    """The laws on means or draws, for a module that decides what members `answer`."""
    taught = lessons.cast(table.conditions) if lessons is not None else None

    def situations(where: Literal["few", "all"]) -> Situation:
        assert taught is not None
        places = torch.arange(len(taught.rows))
        if where == "few":
            places = torch.randint(len(taught.rows), (BATCH,), generator=generator)
        return taught.situation(places.to(taught.rows.device), answer, on)

    return Penalties(taught.on(on) if taught is not None else (), module, situations)
