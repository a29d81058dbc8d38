"""Generated sections of manual pages: `python -m avaffect.cli.manual [FOLDER]`, or `make man`.

The title of every page comes from here; in avaffect-COMMAND(1) the sections NAME, SYNOPSIS,
ARGUMENTS, OPTIONS and EXAMPLES, from the catalogue and the settings; in avaffect(1) the list of
commands. Everything else is written by hand, and so are remarks on an option: the lines after the
generated ones and the line `.\\" Remarks:` are kept.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import click

from avaffect import __version__
from avaffect.cli import catalogue
from avaffect.cli.catalogue import Command, imported
from avaffect.cli.command import make
from avaffect.core.errors import DataError

FOLDER = Path(__file__).resolve().parent.parent.parent / "man"
# Of the release; no page has a date of its own.
DATE = "2026-11-28"
REMARKS = '.\\" Remarks:'
# The order of sections: a new one goes after the last of those before it.
ORDER = ("NAME", "SYNOPSIS", "DESCRIPTION", "ARGUMENTS", "OPTIONS", "FILES", "EXIT STATUS",
         "EXAMPLES", "SEE ALSO")  # fmt: skip
SECTION = re.compile(r"^\.SH ", re.M)


def page(command: Command, text: str = "") -> str:
    """The updated page of a command; without a text, a new page.

    Raises DataError for remarks on an option that the command does not have.
    """
    made = make(command)
    context = click.Context(made, info_name=command.name)
    if not text:
        described = inspect.getdoc(imported(command.settings)) or ""
        text = f"{title(f'avaffect-{command.name}.1')}.SH DESCRIPTION\n{_text(described)}\n"
    head, sections = _sections(text)
    arguments = [each for each in made.params if isinstance(each, click.Argument)]
    options = [each for each in made.params if isinstance(each, click.Option)]
    remarks = _remarks(sections.get("OPTIONS", ""))
    lost = remarks.keys() - {_long(option) for option in options}
    if lost:
        raise DataError(f"avaffect-{command.name}(1) has remarks on missing options {sorted(lost)}")
    new = {
        "NAME": f"avaffect\\-{_escaped(command.name)} \\- {_line(command.help)}\n",
        "SYNOPSIS": _synopsis(command.name, arguments, options, context),
        "ARGUMENTS": "".join(
            f".TP\n\\fI{_escaped(each.make_metavar(context))}\\fR\n{_text(each.help or '')}\n"
            for each in arguments
        ),
        "OPTIONS": "".join(_entry(each, context, remarks) for each in options),
        "EXAMPLES": _examples(inspect.cleandoc(imported(command.settings).examples)),
    }
    for name, body in new.items():
        _put(sections, name, body)
    return head + "".join(f".SH {name}\n{body}" for name, body in sections.items())


def title(file: str) -> str:
    """The title line of the page of this name, `avaffect-finetune.1`."""
    name, _, section = file.rpartition(".")
    program = f'"avaffect {__version__}" "avaffect manual"'
    return f".TH {_escaped(name).upper()} {section} {DATE} {program}\n"


def overview(text: str) -> str:
    """avaffect(1), with the list of commands of this package."""
    start = text.index(".SS Commands\n") + len(".SS Commands\n")
    end = text.index(".SS ", start)
    listed = ""
    for group, commands in catalogue.grouped().items():
        ours = [each for each in commands if each.name in catalogue.COMMANDS]
        # No paragraph is needed behind a title.
        listed += f"{'.PP' * bool(listed)}\n{_escaped(group)}\n".lstrip() if ours else ""
        for each in ours:
            listed += f".TP\n.BR avaffect\\-{_escaped(each.name)} (1)\n{_text(each.help)}\n"
    return text[:start] + listed + text[end:]


def pages(folder: Path = FOLDER) -> dict[Path, str]:
    """Path -> updated text of every page."""
    texts = {path: path.read_text("utf-8") for path in sorted(folder.glob("avaffect*.[157]"))}
    main = folder / "avaffect.1"
    found = texts | {main: overview(texts[main])}
    for name, command in catalogue.COMMANDS.items():
        path = folder / f"avaffect-{name}.1"
        found[path] = page(command, texts.get(path, ""))
    return {path: title(path.name) + text.partition("\n")[2] for path, text in found.items()}


def main() -> None:
    """Write the pages that have changed, and print their names."""
    for path, text in pages(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER).items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path)


def _sections(text: str) -> tuple[str, dict[str, str]]:
    title, *parts = SECTION.split(text)
    return title, {name: body for name, _, body in (part.partition("\n") for part in parts)}


def _put(sections: dict[str, str], name: str, body: str) -> None:
    """Replace a section, add it in its place, or remove it if it is empty."""
    if not body:
        sections.pop(name, None)
        return
    if name in sections:
        sections[name] = body
        return
    names, before = list(sections), ORDER[: ORDER.index(name)]
    place = max((index + 1 for index, each in enumerate(names) if each in before), default=0)
    behind = {each: sections.pop(each) for each in names[place:]}
    sections[name] = body
    sections.update(behind)


def _synopsis(
    name: str, arguments: list[click.Argument], options: list[click.Option], context: click.Context
) -> str:
    """Arguments and required options; the others are [OPTION]..."""
    lines = [f".B avaffect {_escaped(name)}"]
    lines += [f".I {_escaped(each.make_metavar(context))}" for each in arguments]
    for each in options:
        if each.required:
            more = " ..." if each.multiple else ""
            lines += [f".B {_escaped(_long(each))}"]
            lines += [f".IR {_value(each, context)}{more}"]
    return "\n".join([*lines, ".RI [ OPTION ]...", ""])


def _value(option: click.Option, context: click.Context) -> str:
    shown = option.make_metavar(context)
    return _escaped(shown.strip("[]") if isinstance(option.type, click.Choice) else shown)


def _long(option: click.Option) -> str:
    return max(option.opts, key=len)


def _entry(option: click.Option, context: click.Context, remarks: dict[str, str]) -> str:
    """An option: its spellings and value, its help with default and range, the remarks on it."""
    flags = ", ".join(f"\\fB{_escaped(flag)}\\fR" for flag in option.opts + option.secondary_opts)
    value = "" if option.is_flag else f" \\fI{_value(option, context)}\\fR"
    extra = option.get_help_extra(context)
    facts = [f"Default: {extra['default']}"] if "default" in extra else []
    facts += [str(extra["range"])] if "range" in extra else []
    facts += ["Required"] if option.required else []
    shown = "; ".join(facts)
    text = f"{option.help} {shown[:1].upper()}{shown[1:]}." if shown else option.help or ""
    flag = _long(option)
    kept = f"{REMARKS}\n{remarks[flag]}" if flag in remarks else ""
    return f".TP\n{flags}{value}\n{_text(text)}\n{kept}"


def _remarks(options: str) -> dict[str, str]:
    """Flag -> remarks in a section OPTIONS."""
    found: dict[str, str] = {}
    for entry in re.split(r"^\.TP\n", options, flags=re.M):
        head, marker, remark = entry.partition(f"{REMARKS}\n")
        if marker:
            flags = re.findall(r"\\fB([\w\\-]+)\\fR", head.partition("\n")[0])
            found[max((flag.replace("\\-", "-") for flag in flags), key=len)] = remark
    return found


def _examples(script: str) -> str:
    """An examples section: comments as text, commands verbatim."""
    out: list[str] = []
    typed = False
    for line in script.splitlines():
        is_text = line.startswith("# ")
        if is_text or not typed:
            out += [".EE"] * typed + [".PP"] * bool(out) + [".EX"] * (not is_text)
        out.append(_line(line[2:], lower=False) + ":" if is_text else _escaped(line))
        typed = not is_text
    return "\n".join([*out, ".EE", ""]) if out else ""


def _text(prose: str) -> str:
    """Prose as roff: words in `...` and options bold, with paragraphs."""
    paragraphs = [" ".join(each.split()) for each in prose.split("\n\n")]
    return "\n.PP\n".join(map(_marked, paragraphs))


def _marked(text: str) -> str:
    text = _escaped(text)
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", text)
    return re.sub(r"(?<![\w\\])(\\-\\-[a-z][a-z0-9\\-]*)", r"\\fB\1\\fR", text)


def _line(text: str, lower: bool = True) -> str:
    """A line of help without its full stop."""
    first = text[0].lower() if lower else text[0]
    return _escaped(first + text[1:].removesuffix("."))


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.M)


if __name__ == "__main__":
    main()
