"""Where a template comes from: an in-toto statement with a SLSA provenance predicate.

Formats: github.com/in-toto/attestation (statement v1), slsa.dev/spec/v1.0/provenance. Its digest
stands in the signed manifest. It says nothing of the time or the machine: the same inputs give the
same statement.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from vztmpl.build.recipe import Recipe
from vztmpl.template.archive import Packed
from vztmpl.template.manifest import ARCHIVE_SUFFIX

_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
_BUILD_TYPE = "urn:vztmpl:build:1"
_BUILDER = "urn:vztmpl:builder"


def provenance(
    recipe: Recipe,
    packed: Packed,
    epoch: int,
    tools: Mapping[str, str],
    *,
    lock: tuple[str, bytes],
    extras: Mapping[str, bytes],
) -> bytes:
    """Return the statement; ``lock`` and ``extras`` are files, by name, beside the archive."""
    name = str(recipe.name)
    statement = {
        "_type": _STATEMENT_TYPE,
        "subject": [
            _resource(f"{name}{ARCHIVE_SUFFIX}", packed.sha256),
            _resource(f"{name}{Path(ARCHIVE_SUFFIX).stem}", packed.digest),
        ],
        "predicateType": _PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD_TYPE,
                "externalParameters": {
                    "template": name,
                    "suite": recipe.suite,
                    "architecture": recipe.arch,
                },
                "internalParameters": {"SOURCE_DATE_EPOCH": epoch},
                "resolvedDependencies": [
                    _resource("recipe", recipe.digest),
                    _resource(lock[0], sha256(lock[1]).hexdigest()),
                ],
            },
            "runDetails": {
                "builder": {"id": _BUILDER, "version": dict(tools)},
                "byproducts": [
                    _resource(file, sha256(text).hexdigest()) for file, text in extras.items()
                ],
            },
        },
    }
    return (json.dumps(statement, indent=1, sort_keys=True) + "\n").encode()


def _resource(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest}}
