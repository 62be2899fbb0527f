"""The prompt: a line from a person, with history and completion; runs in a thread of its own."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from yakt.line.completion import complete
from yakt.line.grammar import holds_secret


class _CommandCompleter(Completer):
    """Words that may come next, from the declarations of the commands."""

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """As prompt_toolkit asks for them."""
        for candidate in complete(document.text_before_cursor):
            yield Completion(candidate.text, start_position=-candidate.replaces, display_meta=candidate.hint)


def history_path() -> Path:
    """Where lines are remembered (the XDG base directories say where state belongs)."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return Path(state) / "yakt" / "history"


class _Discreet(FileHistory):
    """Remembers no line that holds a password."""

    def append_string(self, string: str) -> None:
        """As prompt_toolkit asks for it."""
        if not holds_secret(string):
            super().append_string(string)


def _history() -> History:
    path = history_path()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()  # a home that cannot be written to is no reason to say nothing
    return _Discreet(str(path))


def make_prompt() -> Callable[[str], str]:
    """A function that shows its argument and waits for a line; to be called in a thread.

    It raises EOFError at the end (Ctrl-D), and KeyboardInterrupt when the line is given up (Ctrl-C).
    """
    session: PromptSession[str] = PromptSession(
        history=_history(),
        completer=_CommandCompleter(),
        complete_while_typing=False,
        auto_suggest=AutoSuggestFromHistory(),
        enable_history_search=True,
    )
    return lambda message: session.prompt(message, handle_sigint=False)
