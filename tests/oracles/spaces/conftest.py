"""A module of gates of the user's own."""

from __future__ import annotations

import pytest


@pytest.fixture
def own_gates(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    (tmp_path / "gates_of_mine.py").write_text(
        "import sys\n"
        "import numpy as np\n"
        "def yes(smiles): return True\n"
        "def no(smiles): return False\n"
        "def why(smiles): return 'it is ' + smiles\n"
        "def nothing(smiles): return None\n"
        "def number(smiles): return 0\n"
        "def numpy_yes(smiles): return np.float64(1.0) > 0.5\n"
        "def numpy_no(smiles): return np.float64(0.0) > 0.5\n"
        "def array_yes(smiles): return np.array([1.0]) > 0.5\n"
        "def array_no(smiles): return np.array(0.0) > 0.5\n"
        "def arrays(smiles): return np.array([True, False])\n"
        "def numpy_number(smiles): return np.int64(1)\n"
        "def broken(smiles): raise KeyError(smiles)\n"
        "def leaves(smiles): sys.exit(3)\n"
        "def interrupted(smiles): raise KeyboardInterrupt\n"
        "constant = 3\n"
    )
    return tmp_path
