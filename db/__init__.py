"""What is remembered: the store of campaigns, the queue of evaluations, labels, decisions and model versions.

``from theoros.db import Store`` is the way in. Importing this package loads no SQLAlchemy; what needs it loads when
used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from theoros.db.errors import (
    AnswerNotFinite,
    AttemptNotFound,
    CampaignExists,
    CampaignNotFound,
    CampaignOwned,
    OwnershipLost,
    StoreError,
)
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

if TYPE_CHECKING:
    from theoros.db.artifacts import ArtifactStore
    from theoros.db.migrate import upgrade_database
    from theoros.db.store import Store

_HOME = {
    "ArtifactStore": "theoros.db.artifacts",
    "Store": "theoros.db.store",
    "upgrade_database": "theoros.db.migrate",
}

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
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
