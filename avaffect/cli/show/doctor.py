"""Prints what `doctor` finds, line by line, and at the end what is to be mended."""

from __future__ import annotations

import json
from dataclasses import asdict

from avaffect.core.errors import MachineFault
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.shown import on_one_line
from avaffect.settings.doctor import DoctorSettings

WIDTH = 28
SIGNS = {"ok": "ok      ", "optional": "optional", "broken": "BROKEN  "}


def show(settings: DoctorSettings, progress: Progress) -> None:
    """Raises MachineFault where something is broken."""
    from avaffect.recipes.doctor import doctor

    about, broken, count = "", 0, 0
    for found in doctor(settings, progress):
        count += 1
        broken += found.state == "broken"
        if settings.json:
            print(json.dumps(asdict(found), ensure_ascii=False), flush=True)
            continue
        if found.about != about:
            print(f"\n{found.about}" if about else found.about)
            about = found.about
        print(on_one_line(f"  {SIGNS[found.state]}  {found.name.ljust(WIDTH)}  {found.found}"))
        if found.mend:
            print(on_one_line(f"            to mend: {found.mend}"), flush=True)
    if broken:
        raise MachineFault(
            f"{broken} of {count_of(count, 'thing is', 'things are')} broken; see `to mend` above"
        )
    progress.say(f"{count_of(count, 'thing')} looked at: avaffect works here")
