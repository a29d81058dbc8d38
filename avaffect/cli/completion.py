"""Completion in bash, zsh and fish: click's, with files that are chosen by their kind.

    eval "$(_AVAFFECT_COMPLETE=bash_source avaffect)"

defines a shell function that calls avaffect with the line typed so far. It answers with three lines
for each candidate: its type (plain or path), its value, and a remark. click's own functions know
all files or none, break a word at a comma or a colon, and put a space behind a folder.
"""

from __future__ import annotations

import os

from click.shell_completion import CompletionItem, ShellComplete, add_completion_class
from click.shell_completion import split_arg_string as words_of

PATH = "path"
_BASH = """\
%(complete_func)s() {
    local type value remark
    COMPREPLY=()
    while IFS= read -r type && IFS= read -r value && IFS= read -r remark; do
        COMPREPLY+=("$value")
        case $type in path) compopt -o filenames ;; esac
        case $value in *=) compopt -o nospace ;; esac
    done < <(COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \
%(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""
_ZSH = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local type value remark
    local -a values remarks names folders files
    while IFS= read -r type && IFS= read -r value && IFS= read -r remark; do
        remark="$value  -- $remark"
        if [[ $value == *(/|=) ]]; then
            folders+=("$value")
        elif [[ $type == path ]]; then
            files+=("$value")
        elif [[ $remark == *'-- ' ]]; then
            names+=("$value")
        else
            values+=("$value")
            remarks+=("${remark[1,COLUMNS-1]}")
        fi
    done < <(COMP_WORDS="${(j: :)words[1,CURRENT-1]} ${compstate[quote]}$PREFIX" \
%(complete_var)s=zsh_complete "${words[1]}" 2>/dev/null)
    (( $#values )) && compadd -U -l -V values -d remarks -a values
    (( $#names )) && compadd -U -V names -a names
    (( $#folders )) && compadd -U -V folders -S '' -a folders
    (( $#files )) && compadd -U -V files -a files
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
    compdef %(complete_func)s %(prog_name)s
fi
"""
_FISH = """\
function %(complete_func)s
    COMP_WORDS=(commandline -cp | string collect) %(complete_var)s=fish_complete %(prog_name)s \
2>/dev/null | while read -L type value remark
        if test -n "$remark"
            printf '%%s\\t%%s\\n' $value $remark
        else
            echo $value
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class _Shell(ShellComplete):
    """COMP_WORDS is the line up to the cursor."""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_WORDS", "")
        words = words_of(line)[1:]
        typed = "" if not words or line[-1:].isspace() else words.pop()
        return words, typed

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        # click forgets arguments before an option whose value is not typed yet.
        self.ctx_args["obj"] = args
        found = super().get_completions(args, incomplete)
        flag, equals, _ = incomplete.partition("=")
        if flag.startswith("--") and equals:
            # click gives the values alone, which shells would put in the place of --flag=value.
            found = [CompletionItem(f"{flag}={each.value}", each.type) for each in found]
        return found

    def format_completion(self, item: CompletionItem[str]) -> str:
        return f"{item.type}\n{item.value}\n{_first_sentence(item.help or '')}"


class _Bash(_Shell):
    """A value begins behind the last = or : of the typed word, where readline breaks words;
    readline itself adds a slash to folders."""

    name = "bash"
    source_template = _BASH

    def format_completion(self, item: CompletionItem[str]) -> str:
        _, typed = self.get_completion_args()
        breaks = set("=:") & set(os.environ.get("COMP_WORDBREAKS", "=:"))
        start = max((typed.rfind(each) + 1 for each in breaks), default=0)
        value = item.value.removeprefix(typed[:start])
        # A line is three lines there too, though bash shows no remarks.
        return f"{item.type}\n{value.rstrip('/') if item.type == PATH else value}\n"


class _Zsh(_Shell):
    name = "zsh"
    source_template = _ZSH


class _Fish(_Shell):
    name = "fish"
    source_template = _FISH


def install() -> None:
    """Take the place of click's functions."""
    for shell in (_Bash, _Zsh, _Fish):
        add_completion_class(shell)


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).partition(". ")[0].removesuffix(".")
