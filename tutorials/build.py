"""Make the notebooks of the lessons: `python tutorials/build.py`, or with the names of some lessons.

A lesson is a script whose cells begin with `# %%` or `# %% [markdown]`; it is the only
source. Its notebook beside it is executed here, pictures included, and never edited.
Needs the extra `tutorials`: pip install ".[tutorials]". All lessons take about two minutes.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LESSONS = sorted(HERE.glob("[0-9][0-9]_*.py"))


def cells(script):
    """The cells of a lesson.

    Parameters
    ----------
    script : str
        The text of the script.

    Returns
    -------
    cells : list of (str, str)
        ("markdown" or "code", its text). The comment signs of a markdown cell are gone.
    """
    found = []
    for part in re.split(r"^# %%", script, flags=re.M)[1:]:
        mark, text = part.split("\n", 1)
        kind = "markdown" if "[markdown]" in mark else "code"
        if kind == "markdown":
            text = re.sub(r"^# ?", "", text, flags=re.M)
        found.append((kind, text.strip("\n")))
    return found


def build(lesson):
    """Execute a lesson in a kernel of its own and write its notebook."""
    import nbformat
    from nbclient import NotebookClient

    new = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    notebook = nbformat.v4.new_notebook(
        cells=[new[kind](text, id=f"cell-{i}")  # the same ids every time: a new build shows what changed
               for i, (kind, text) in enumerate(cells(lesson.read_text(encoding="utf-8")))],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    NotebookClient(notebook, timeout=300, kernel_name="python3", record_timing=False,
                   resources={"metadata": {"path": str(lesson.parent)}}).execute()
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec}
    return nbformat.writes(notebook) + "\n"


def main(names):
    os.environ.pop("MPLBACKEND", None)  # the kernel's own puts the figures into the notebook
    # a clone that is not installed works too
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    unknown = [name for name in names if HERE / Path(name).with_suffix(".py").name not in LESSONS]
    if unknown:
        sys.exit(f"{unknown[0]} is not a lesson; the lessons are in {HERE}; "
                 f"give some of {', '.join(lesson.stem for lesson in LESSONS)}")
    stems = {Path(name).stem for name in names}
    for lesson in LESSONS:
        if not stems or lesson.stem in stems:
            notebook = lesson.with_suffix(".ipynb")
            text = build(lesson)
            notebook.write_text(text, encoding="utf-8", newline="\n")
            print(f"{notebook.name}  {notebook.stat().st_size / 1e6:.2f} MB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
