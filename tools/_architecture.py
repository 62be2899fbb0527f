"""The contract that import-linter checks: each part of yakt imports only the parts beside it, and pure ones do nothing.

import-linter's own contracts speak of layers and of what is forbidden; this one lets pyproject.toml say what is
allowed, as the table of the architecture does, so that a new module or a new arrow is a line in a diff.
"""

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class PartsContract(Contract):
    """`parts`: lines `yakt.raft: ids errors batch`. A module belongs to the longest name that it begins with.

    `pure`: the modules, with all below them, that may import nothing of `effects`: what touches files, clocks, chance
    or tasks, by the top name of the package.
    """

    parts = fields.ListField(subfield=fields.StringField())
    pure = fields.ListField(subfield=fields.StringField())
    effects = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look at every import of every module of yakt."""
        parts = dict(self._part(line) for line in self.parts)
        complaints = []
        for module in sorted(module for module in graph.modules if _within(module, "yakt")):
            part = max((name for name in parts if _within(module, name)), key=len, default=None)
            if part is None or (part == "yakt" and module != "yakt"):
                complaints.append(f"{module} belongs to no part: give it a line in pyproject.toml")
                continue
            for imported in sorted(graph.find_modules_directly_imported_by(module)):
                if not self._allowed(module, imported, part, parts[part]):
                    lines = [
                        detail["line_number"] for detail in graph.get_import_details(importer=module, imported=imported)
                    ]
                    complaints += [f"{module}:{line}: {part} may not import {imported}" for line in lines]
        return ContractCheck(kept=not complaints, metadata={"complaints": complaints})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print what `check` found."""
        for complaint in check.metadata["complaints"]:
            output.print_error(complaint)

    @staticmethod
    def _part(line: str) -> tuple[str, tuple[str, ...]]:
        name, _, allowed = line.partition(":")
        return name, tuple(f"yakt.{part}" for part in allowed.split())

    def _allowed(self, module: str, imported: str, part: str, may_import: tuple[str, ...]) -> bool:
        if _within(imported, "yakt"):
            return imported == "yakt" or _within(imported, part) or any(_within(imported, name) for name in may_import)
        is_pure = any(_within(module, name) for name in self.pure)
        return not (is_pure and imported in self.effects)


def _within(module: str, name: str) -> bool:
    return module == name or module.startswith(name + ".")
