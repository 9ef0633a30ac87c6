"""Starting or joining a Ray cluster, and finding out beforehand whether it can do what is asked."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from theoros.oracles.resources import Resources

#: How often a cluster of one's own is started. Ray gives a node half a minute, which is too little on a busy machine.
STARTS = 3


class ClusterError(RuntimeError):
    """The cluster can't be reached or can't hold what is asked; the message says what it has."""


@dataclass(frozen=True)
class Node:
    """A live node and its total resources in Ray's terms."""

    address: str
    resources: Mapping[str, float]


def demand(resources: Resources) -> dict[str, float]:
    """What one slot takes, in Ray's terms."""
    wanted = {"CPU": resources.num_cpus, "GPU": resources.num_gpus, "memory": float(resources.memory or 0)}
    return {name: amount for name, amount in (wanted | resources.custom).items() if amount > 0}


def slots_on(node: Node, resources: Resources) -> int:
    """How many slots `node` holds when it does nothing else. A slot that takes nothing counts once per processor."""
    wanted = demand(resources) or {"CPU": 1.0}
    return int(min(math.floor(node.resources.get(name, 0.0) / amount + 1e-9) for name, amount in wanted.items()))


def plan_slots(nodes: list[Node], resources: Resources, wanted: int | None) -> int:
    """The number of slots to start: `wanted`, or all that fit.

    Raises ClusterError when not even one slot fits on any node, or fewer than `wanted` do.
    """
    if wanted is not None and nodes and not demand(resources):
        return wanted  # what takes nothing of what Ray counts fits as often as its owner says
    fit = sum(slots_on(node, resources) for node in nodes)
    if fit == 0 or (wanted is not None and wanted > fit):
        what = "One slot does not fit on any node" if fit == 0 else f"{wanted} slots were asked for and {fit} fit"
        raise ClusterError(
            f"{what}. {needs_and_has(nodes, resources)} "
            "Lower oracle.resources or workers.slots, or join a larger cluster with --address."
        )
    return fit if wanted is None else wanted


def needs_and_has(nodes: list[Node], resources: Resources, who: str = "A slot") -> str:
    """What a slot, or another worker, needs beside what the nodes have, as a sentence."""
    has = "; ".join(f"{node.address}: {_listed(node.resources)}" for node in nodes)
    return f"{who} needs {_listed(demand(resources)) or 'nothing'}; the cluster has {has or 'no live node'}."


def free_now() -> str:
    """What nobody has taken on the whole cluster, in words."""
    import ray

    return _listed(ray.available_resources()) or "nothing"


def _listed(amounts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {_amount(name, amount)}" for name, amount in sorted(amounts.items()) if _shown(name))


def join(
    address: str | None, resources: Resources, slots: int | str, model_workers: Mapping[str, Resources] | None = None
) -> int:
    """Join or start a cluster; returns how many slots to start: `slots`, or with ``"auto"`` all that fit.

    Raises ClusterError when the cluster can't be reached, can't hold the slots, or has no node that could hold one of
    the `model_workers` (by their names in a campaign file).
    """
    nodes = connect(address)
    for name, wanted in (model_workers or {}).items():
        require_room(nodes, name, wanted)
    return plan_slots(nodes, resources, None if isinstance(slots, str) else slots)


def require_room(nodes: list[Node], name: str, resources: Resources) -> None:
    """Raise ClusterError where no node could hold the model worker `name`, even if it did nothing else."""
    if demand(resources) and not any(slots_on(node, resources) for node in nodes):
        raise ClusterError(
            f"The {name} does not fit on any node. {needs_and_has(nodes, resources, f'The {name}')} "
            f"Lower workers.{name}, or join a larger cluster with --address."
        )


def _shown(name: str) -> bool:
    return not name.startswith(("node:", "object_store"))


def _amount(name: str, value: float) -> str:
    return f"{value / 2**30:.1f} GiB" if name == "memory" else f"{value:g}"


def connect(address: str | None, *, num_cpus: int | None = None) -> list[Node]:
    """Join the cluster at `address` (or that of RAY_ADDRESS), or start a local one; returns its live nodes.

    Does nothing but list the nodes when this process is connected already. Raises ClusterError when the cluster
    can't be reached.
    """
    import ray

    address = address or os.environ.get("RAY_ADDRESS")
    if not ray.is_initialized():
        options: dict[str, Any] = {
            "namespace": "theoros",
            "log_to_driver": False,
            "logging_level": logging.ERROR,
            "configure_logging": True,
        }
        if address:
            options["address"] = address
        else:
            # Without an address Ray would otherwise join whichever local cluster it finds lying about.
            options |= {"address": "local", "include_dashboard": False, "num_cpus": num_cpus}
        _start(options, f"reached at {address}" if address else "started")
    return live_nodes()


def _start(options: Mapping[str, Any], what: str) -> None:
    """Have Ray join or start a cluster, once more where a node of its own was not up in time; raises ClusterError."""
    import ray

    for left in reversed(range(STARTS)):
        try:
            ray.init(**options)
            return
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise ClusterError(f"Ray could not be {what}: {error}") from error
        except Exception as error:
            if type(error) is not Exception:  # a node that was not up in time has no class of its own
                raise
            if not left:
                raise ClusterError(
                    f"Ray could not be {what}, {STARTS} times: {error} The machine may be too busy; try again, or "
                    "start Ray with `ray start --head` and join it with --address."
                ) from error


def live_nodes() -> list[Node]:
    """The nodes that are alive now."""
    import ray

    return [Node(n["NodeManagerAddress"], dict(n["Resources"])) for n in ray.nodes() if n["Alive"]]


def disconnect() -> None:
    """Leave the cluster; a local one ends."""
    import ray

    ray.shutdown()
