"""Method classes in files, as authors have them: one that keeps the contract, and variants that do not."""

POLITE = '''
from dataclasses import dataclass
from typing import ClassVar

from evenhand.methods.base import Budget, Intervention, Method, MethodInfo


@dataclass(frozen=True, eq=False)
class PoliteIntervention(Intervention):
    def prompt(self, text, draw):
        return f"{text} {self.data['ending']}"


class Polite(Method):
    """Asks nicely.

    Attributes:
        ending: What is appended to every prompt.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        name="polite",
        version="1.0",
        title="Polite prompt",
        summary="Appends a polite ending to every prompt.",
        licence="Apache-2.0",
        origin="a test",
        family="prompt",
        architectures=("any",),
        attributes="none",
    )
    intervention_type: ClassVar[type[Intervention]] = PoliteIntervention

    ending: str = "please"

    def fit(self, task):
        return PoliteIntervention(data={"ending": self.ending})
'''


def polite(folder, *changes, name="polite_method.py"):
    """The path of a file with the class, in which each ``(old, new)`` of the changes is replaced."""
    text = POLITE
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
