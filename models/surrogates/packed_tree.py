"""Trees for travelling: what prediction needs of a scikit-learn tree, a quarter of its size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.tree._tree import Tree

#: What scikit-learn writes as the children of a leaf.
LEAF = -1


@dataclass(frozen=True, eq=False)
class PackedTree:
    """A regression tree as arrays: for every node its children, feature and threshold, for every leaf value and
    variance, in the order of the nodes.

    Features are float32, so thresholds rounded down to float32 part them as before; values and variances are rounded
    to float32 once, so packing what was unpacked changes nothing.
    """

    columns: int
    depth: int
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    value: NDArray[np.float32]
    variance: NDArray[np.float32]

    @classmethod
    def of(cls, tree: Any) -> PackedTree:
        """Pack a fitted ``estimator.tree_`` of one output."""
        leaf = tree.children_left == LEAF
        return cls(
            int(tree.n_features),
            int(tree.max_depth),
            tree.children_left.astype(np.int32),
            tree.children_right.astype(np.int32),
            tree.feature.astype(np.int32),
            _rounded_down(tree.threshold),
            tree.value[leaf, 0, 0].astype(np.float32),
            np.maximum(tree.impurity[leaf], 0.0).astype(np.float32),
        )

    def unpacked(self) -> Any:
        """A tree that gives the same leaves, values and variances (``apply``, ``value``, ``impurity``)."""
        tree = Tree(self.columns, np.ones(1, dtype=np.intp), 1)
        leaf = self.left == LEAF
        nodes = np.zeros(len(self.left), dtype=tree.__getstate__()["nodes"].dtype)
        nodes["left_child"], nodes["right_child"] = self.left, self.right
        nodes["feature"], nodes["threshold"] = self.feature, self.threshold
        nodes["impurity"][leaf] = self.variance
        values = np.zeros((len(self.left), 1, 1))
        values[leaf, 0, 0] = self.value
        tree.__setstate__({"max_depth": self.depth, "node_count": len(self.left), "nodes": nodes, "values": values})
        return tree


def _rounded_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    rounded = threshold.astype(np.float32)
    return np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)
