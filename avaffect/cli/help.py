"""`avaffect help [TOPIC]`: what to type first, or a manual page."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from avaffect.cli import catalogue, pages

NAME = "help"
SHORT = "Show the manual of a command, a format or a guide."
# Shell lines with a remark each; `avaffect help` shows them.
FIRST = (
    ("Does avaffect work here?", ("avaffect doctor",)),
    (
        "A model of recordings of your own, such as clips/anger/anna_01.wav",
        (
            "avaffect manifest folder clips/ --layout '{emotion}/{speaker}_*' |",
            "  avaffect train -o mine",
            "avaffect predict talk.wav --model mine/model.safetensors",
        ),
    ),
    (
        "Guides: the same from a table; what the commands make of each other; code of your own",
        ("avaffect help own-corpus", "avaffect help concepts", "avaffect help extending"),
    ),
    (
        "The manual of a command, its options, what a file is",
        ("avaffect help finetune", "avaffect finetune --help", "avaffect info FILE"),
    ),
    (
        "Names of commands, options, files and labels by the Tab key (zsh: zsh_source)",
        ('eval "$(_AVAFFECT_COMPLETE=bash_source avaffect)"',),
    ),
    ("All commands", ("avaffect --help",)),
)


def _complete(
    context: click.Context, parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    return [CompletionItem(name) for name in pages.topics() if name.startswith(typed)]


def _show(topic: str | None) -> None:
    if topic is None:
        click.echo(first_steps(), nl=False)
        return
    page = pages.find(topic)
    if page is not None:
        pages.show(page)
        return
    found = catalogue.find(topic)
    if found is None:
        raise pages.unknown(topic, list(catalogue.every()))
    # A command of another package has no page.
    from avaffect.cli.command import make

    command = make(found)
    click.echo(command.get_help(click.Context(command, info_name=f"avaffect {topic}")))


def first_steps() -> str:
    """Remarks, and below each what to type."""
    parts = ["\n".join([f"# {remark}", *lines]) for remark, lines in FIRST]
    return "\n\n".join(parts) + "\n"


def command() -> click.Command:
    """The click command."""
    return click.Command(
        NAME,
        callback=_show,
        params=[
            click.Argument(
                ["topic"], required=False, metavar="[TOPIC]", shell_complete=_complete,
                help="A command, a format (store, manifest.5, checkpoint), a guide "
                "(concepts, own-corpus, extending), or avaffect for the manual of all. Without "
                "it: what to type first.",
            )
        ],
        short_help=SHORT,
        help=f"{SHORT}\n\nPages are shown by man(1) on a terminal, and as plain text elsewhere.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )  # fmt: skip
