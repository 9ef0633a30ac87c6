"""What is remembered: the store of campaigns, the queue of evaluations, labels, decisions and model versions.

``from theoros.db import Store`` is the way in. Importing this package loads no SQLAlchemy; names load when used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from theoros.db.artifacts import ArtifactStore
    from theoros.db.errors import (
        AnswerNotFinite,
        AttemptNotFound,
        CampaignExists,
        CampaignNotFound,
        CampaignOwned,
        OwnershipLost,
        StoreError,
    )
    from theoros.db.migrate import upgrade_database
    from theoros.db.records import (
        AnswerRecord,
        CampaignRecord,
        CandidateRecord,
        CardRecord,
        CheckRecord,
        Claim,
        DecisionRecord,
        EvaluationRecord,
        EventRecord,
        FailureRecord,
        LabelRecord,
        ModelVersionRecord,
        OfferRecord,
        OutputValue,
        ParentRecord,
        PredictionRecord,
        Progress,
        RunInfo,
        ScoreRecord,
    )
    from theoros.db.store import Store

_HOME = {
    "store": ("Store",),
    "artifacts": ("ArtifactStore",),
    "migrate": ("upgrade_database",),
    "errors": (
        "AnswerNotFinite",
        "AttemptNotFound",
        "CampaignExists",
        "CampaignNotFound",
        "CampaignOwned",
        "OwnershipLost",
        "StoreError",
    ),
    "records": (
        "AnswerRecord",
        "CampaignRecord",
        "CandidateRecord",
        "CardRecord",
        "CheckRecord",
        "Claim",
        "DecisionRecord",
        "EvaluationRecord",
        "EventRecord",
        "FailureRecord",
        "LabelRecord",
        "ModelVersionRecord",
        "OfferRecord",
        "OutputValue",
        "ParentRecord",
        "PredictionRecord",
        "Progress",
        "RunInfo",
        "ScoreRecord",
    ),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "AnswerNotFinite",
    "AnswerRecord",
    "ArtifactStore",
    "AttemptNotFound",
    "CampaignExists",
    "CampaignNotFound",
    "CampaignOwned",
    "CampaignRecord",
    "CandidateRecord",
    "CardRecord",
    "CheckRecord",
    "Claim",
    "DecisionRecord",
    "EvaluationRecord",
    "EventRecord",
    "FailureRecord",
    "LabelRecord",
    "ModelVersionRecord",
    "OfferRecord",
    "OutputValue",
    "OwnershipLost",
    "ParentRecord",
    "PredictionRecord",
    "Progress",
    "RunInfo",
    "ScoreRecord",
    "Store",
    "StoreError",
    "upgrade_database",
]


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value
