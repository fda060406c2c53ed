"""Lint: whether a finished template is fit for others, told from the members of its archive.

``lint_rules`` has the rules with their reasons. They are looked at once, in their order, as
``template.walk`` reads them: nothing is unpacked, and nothing that the archive says is believed.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vztmpl.build.lint_members import Finding, check, content
from vztmpl.build.lint_rules import RULES
from vztmpl.build.lint_tree import Tree
from vztmpl.build.rules import Severity, Waiver, matcher
from vztmpl.errors import ConfigError, VerificationError, VztmplError
from vztmpl.table import Table
from vztmpl.template.name import TemplateName
from vztmpl.template.walk import Member

_SHOWN_PER_RULE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found in one template."""

    findings: tuple[Finding, ...]
    """In the order of the rules; the first few of each."""
    counts: Mapping[str, int]
    """How often each rule is broken, where no waiver allows it."""
    waived: Mapping[str, int]
    """How often a rule is broken where a waiver allows it."""
    waivers: Sequence[Waiver]

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return self._sum(Severity.ERROR)

    @property
    def warnings(self) -> int:
        """How many findings are warnings."""
        return self._sum(Severity.WARNING)

    @property
    def total(self) -> str:
        """How many errors and warnings, in words."""
        counts = {"error": self.errors, "warning": self.warnings}
        return ", ".join(f"{n} {word}{'s' * (n != 1)}" for word, n in counts.items())

    def _sum(self, severity: Severity) -> int:
        return sum(n for name, n in self.counts.items() if RULES[name].severity is severity)

    def summary(self) -> dict[str, Any]:
        """Return what the manifest keeps: counts by rule, and the waivers with their reasons."""
        return {
            "errors": self.errors,
            "warnings": self.warnings,
            "found": dict(self.counts),
            "waived": [{**asdict(waiver), "paths": [*waiver.paths]} for waiver in self.waivers],
        }

    def require_no_errors(self) -> None:
        """VztmplError that names each place where a rule is broken; warnings are none."""
        if not self.errors:
            return
        error = VztmplError(
            f"lint found {self.total}",
            hint="`vztmpl lint --list` has the cures; a recipe may waive a rule by [[waive]]",
        )
        for finding in self.findings:
            if RULES[finding.rule].severity is Severity.ERROR:
                error.add_note(f"{finding.rule}: {finding.place}")
        raise error


def lint(
    found: Iterable[Member], name: TemplateName, epoch: int, waivers: Sequence[Waiver] = ()
) -> Report:
    """Check the members of an archive, as they are read, against all rules."""
    allowed = _allowed(waivers)
    counts, waived = Counter[str](), Counter[str]()
    kept = []
    for finding in _findings(found, name, epoch):
        if allowed(finding):
            waived[finding.rule] += 1
            continue
        counts[finding.rule] += 1
        if counts[finding.rule] <= _SHOWN_PER_RULE:
            kept.append(finding)
    order = {rule: number for number, rule in enumerate(RULES)}
    return Report(
        findings=tuple(sorted(kept, key=lambda finding: order[finding.rule])),
        counts=dict(sorted(counts.items())),
        waived=dict(sorted(waived.items())),
        waivers=tuple(waivers),
    )


def _allowed(waivers: Sequence[Waiver]) -> Callable[[Finding], bool]:
    anywhere = {waiver.rule for waiver in waivers if not waiver.paths}
    somewhere = [(waiver.rule, matcher(waiver.paths)) for waiver in waivers if waiver.paths]
    return lambda finding: (
        finding.rule in anywhere
        or any(
            rule == finding.rule and paths.fullmatch(finding.path[1:]) for rule, paths in somewhere
        )
    )


def _findings(found: Iterable[Member], name: TemplateName, epoch: int) -> Iterator[Finding]:
    tree = Tree()
    for member in found:
        text = content(member)
        yield from tree.add(member, text)
        yield from check(member, text, epoch)
    yield from tree.check(name)


def waivers(summary: Mapping[str, Any], where: object) -> tuple[Waiver, ...]:
    """Read the waivers in a manifest's summary; VerificationError when it is not one of ours."""
    try:
        return tuple(
            Waiver(
                rule=entry.take("rule", str),
                reason=entry.take("reason", str),
                paths=entry.strings("paths"),
            )
            for entry in Table(summary, where, "lint.").tables("waived")
        )
    except ConfigError as error:
        raise VerificationError(f"not a manifest: {error}") from error
