"""A conversation in the terminal: reads, lets the session decide, and carries out what it says.

Owns the loop and nothing of the conversation's state. Ctrl-C stops an answer, Ctrl-D ends the loop; any error of the
daemon ends it too, except refusals to think.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from ollamapy.cli import progress, render
from ollamapy.cli import show as pages
from ollamapy.cli.answer import View, show
from ollamapy.cli.lines import Interrupted, LineReader, kept_keys
from ollamapy.cli.loading import load, think_as
from ollamapy.cli.models import matching
from ollamapy.cli.session import Action, Ask, Leave, List, Load, Save, Say, Session, Show
from ollamapy.client import Client
from ollamapy.errors import Error, InvalidInput, NotFound
from ollamapy.settings import Settings
from ollamapy.wire.native import GenerateRequest

HOW_TO_LEAVE = "\nUse Ctrl + d or /bye to exit."
THINKING_REFUSED = ("does not support thinking", "invalid think value")


def converse(client: Client, settings: Settings, session: Session) -> None:
    """Loads the model, shows its own messages and talks until the user leaves. Raises Error when the daemon fails."""
    with kept_keys():
        load(client, GenerateRequest(model=session.model, keep_alive=session.keep_alive, think=session.think))
        terminal = Terminal(client, session)
        terminal.replay()
        reader = LineReader(settings.home / "history", settings.editor, lambda: session.writes_history)
        while (text := _next(reader)) is not None:
            actions = session.on_text(text)
            if Leave() in actions:
                return
            terminal.carry_out_all(actions)


def _next(reader: LineReader) -> str | None:
    """What the user sends next; None when they leave."""
    while True:
        try:
            return reader.read()
        except Interrupted as interrupt:
            if not interrupt.had_text:
                print(HOW_TO_LEAVE)
        except KeyboardInterrupt:  # The prompt was not up yet.
            print(HOW_TO_LEAVE)
        except EOFError:
            print()
            return None


class Terminal:
    """Carries out the session's actions: asks the daemon, prints the answers."""

    def __init__(self, client: Client, session: Session) -> None:
        self.client = client
        self.session = session

    def carry_out_all(self, actions: Sequence[Action]) -> None:
        """Carries them out until Ctrl-C, which leaves the session as it was before the one that it stops."""
        try:
            for action in actions:
                self.carry_out(action)
        except KeyboardInterrupt:
            pass

    def carry_out(self, action: Action) -> None:
        match action:
            case Say(text, is_talk):
                print(text, file=sys.stderr if is_talk else sys.stdout)
            case Ask():
                self.ask()
            case Show():
                self.describe(action)
            case List(prefix):
                print(render.list_table(matching(self.client, prefix).models, datetime.now(UTC)), end="")
            case Load(model):
                self.load(model)
            case Save(model):
                self.save(model)

    def replay(self) -> None:
        """Shows the messages that the model brings."""
        for message in self.session.shown.messages:
            if message.role == "user":
                print(f">>> {message.content}")
            elif message.role == "assistant":
                print(f"{message.content}\n")

    def ask(self) -> None:
        """Streams the answer; one that is stopped is forgotten, the question stays."""
        session = self.session
        view = View(sys.stdout.isatty(), session.word_wrap, session.hide_thinking)
        try:
            answer = show(self.client.chat(session.chat_request()), view, session.is_verbose)
        except Error as error:
            if not any(text in error.message for text in THINKING_REFUSED):
                raise
            print(f"error: {error.message}")
        else:
            session.answered(answer.content, answer.thinking)

    def describe(self, action: Show) -> None:
        session = self.session
        answer = self.client.show(session.model, system=session.system, options=session.options)
        if action.field == "info":
            print(pages.page(answer), end="", file=sys.stderr)
        else:
            print(session.described(action.field, answer))

    def load(self, model: str) -> None:
        """Goes on with another model; when it cannot be used, nothing changes."""
        print(f"Loading model '{model}'")
        try:
            shown = self.client.show(model)
            think = think_as(self.session.think if self.session.think_is_chosen else None, shown)
            load(self.client, GenerateRequest(model=model, keep_alive=self.session.keep_alive, think=think))
        except NotFound:
            print(f"Couldn't find model '{model}'")
        except InvalidInput as error:
            print(f"error: {error.message}")
        else:
            self.session.loaded(model, shown, think)

    def save(self, model: str) -> None:
        try:
            progress.follow(self.client.create(self.session.save_request(model)))
        except InvalidInput as error:
            if "invalid model name" not in error.message:
                raise
            print(f"error: The model name '{model}' is invalid")
        else:
            print(f"Created new model '{model}'")
