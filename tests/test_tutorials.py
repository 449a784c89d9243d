"""The lessons run, their notebooks are current, and their exercises can be solved and failed."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

TUTORIALS = Path(__file__).resolve().parent.parent / "tutorials"
sys.path.append(str(TUTORIALS))

import build  # noqa: E402 - in tutorials/
import exercises  # noqa: E402
import solutions  # noqa: E402

LESSONS = {lesson.stem: lesson for lesson in build.LESSONS}


@pytest.fixture(scope="session")
def runs():
    """All lessons as plain scripts, two at a time: name -> a future of the finished process."""
    pytest.importorskip("skimage", reason='the lessons take photos of scikit-image: pip install ".[test]"')
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(TUTORIALS.parent), "PYTHONUTF8": "1",
                   "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # two at a time share the cores
    # a proxy that refuses: a lesson that wants the network fails
    proxies = ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"]
    environment |= dict.fromkeys(proxies, "http://127.0.0.1:9")

    def run(lesson):
        return subprocess.run([sys.executable, "-W", "ignore:FigureCanvasAgg", str(lesson)], env=environment,
                              capture_output=True, encoding="utf-8", timeout=600)

    first = "05_average_or_maximum"  # takes as long as several others
    with ThreadPoolExecutor(2) as pool:
        order = sorted(LESSONS, key=lambda name: name != first)
        yield {name: pool.submit(run, LESSONS[name]) for name in order}


def test_all_lessons_are_started(runs):
    """The first of all tests, see conftest.py: what follows runs beside the lessons."""
    assert set(runs) == set(LESSONS)


@pytest.mark.parametrize("name", LESSONS)
def test_the_lesson_runs_as_a_plain_script(runs, name):
    done = runs[name].result()
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "not right yet" not in done.stdout


@pytest.mark.parametrize("name", LESSONS)
def test_the_notebook_is_the_script_executed(name):
    """Its cells are the script's, each code cell ran, in order, and none failed or warned."""
    notebook = json.loads(LESSONS[name].with_suffix(".ipynb").read_text(encoding="utf-8"))
    found = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    wanted = build.cells(LESSONS[name].read_text(encoding="utf-8"))
    assert found == wanted, f"run: python tutorials/build.py {name}"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [one for one in outputs if one.get("name") == "stderr" or one["output_type"] == "error"]


def test_all_notebooks_together_are_small():
    assert sum(path.stat().st_size for path in TUTORIALS.glob("*.ipynb")) < 8e6


def test_a_notebook_can_be_executed():
    reason = 'executing notebooks needs pip install ".[tutorials]"'
    for package in ("nbclient", "ipykernel", "skimage"):
        pytest.importorskip(package, reason=reason)
    made = json.loads(build.build(LESSONS["06_from_map_to_box"]))
    assert all(cell["execution_count"] for cell in made["cells"] if cell["cell_type"] == "code")


@pytest.mark.parametrize("name", LESSONS)
def test_the_lesson_has_the_parts_of_a_lesson(name):
    cells = build.cells(LESSONS[name].read_text(encoding="utf-8"))
    text = "\n".join(text for kind, text in cells if kind == "markdown")
    for heading in ("**You will do**", "**You will learn**", "**You need**", "**In the paper**",
                    "## Exercises", "## Further reading"):
        assert heading in text, heading
    assert re.search(r"^# Lesson \d+: ", text)


def first_lesson(term):
    """The number of the first lesson whose text uses `term`, or a name in brackets behind it."""
    names = re.split(r" \(|, ", term.removesuffix(")")) if " (" in term else [term]
    word = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, names))})(s|es)?(?!\w)",
                      0 if "_" in term else re.IGNORECASE)  # f_k is not F_k
    for number, lesson in enumerate(LESSONS.values(), 1):
        texts = [text for kind, text in build.cells(lesson.read_text(encoding="utf-8")) if kind == "markdown"]
        if word.search(" ".join(" ".join(texts[1:]).split())):  # [0] is the overview
            return number
    return None


def test_the_glossary_names_the_lesson_that_uses_a_term_first():
    glossary = (TUTORIALS / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| .+? \| (\d+) \|", glossary, re.M)
    assert len(rows) > 60
    wrong = {term: first_lesson(term) for term, number in rows if first_lesson(term) != int(number)}
    assert not wrong  # the right numbers; None: no lesson uses it
    names = [term.lower() for term, _ in rows if not term.startswith("1x1")]
    assert names == sorted(names)


def test_every_exercise_stands_in_a_lesson():
    texts = "".join(lesson.read_text(encoding="utf-8") for lesson in LESSONS.values())
    assert set(re.findall(r"^check\((\w+)\)", texts, re.M)) == set(exercises.EXERCISES)


@pytest.mark.parametrize("name", exercises.EXERCISES)
def test_the_solution_is_right(name):
    assert exercises.verdict(getattr(solutions, name)).startswith(f"{name}: right")


@pytest.mark.parametrize("name", exercises.EXERCISES)
def test_an_unfilled_exercise_is_not_solved_yet(name):
    def unfilled(**arguments):
        ...

    def refused(**arguments):
        raise NotImplementedError

    unfilled.__name__ = refused.__name__ = name
    assert exercises.verdict(unfilled) == exercises.verdict(refused) == f"{name}: not solved yet"


@pytest.mark.parametrize("name", exercises.EXERCISES)
def test_a_wrong_answer_gets_a_counterexample(name):
    """One that is right in all cases but the last is found, too."""
    key, cases = exercises.EXERCISES[name]
    last = len(list(cases(np.random.default_rng(0)))) - 1
    calls = []

    def wrong(**arguments):
        calls.append(arguments)
        right = key(**exercises._lists(arguments))
        return right if len(calls) <= last else np.full((2, 2), 99.0)

    wrong.__name__ = name
    shown = exercises.verdict(wrong)
    assert shown.startswith(f"{name}: not right yet. The smallest counterexample:")
    assert "99." in shown.partition("your answer")[2] and "right answer" in shown
    assert len(calls) == last + 1


def test_a_mistake_is_shown_with_both_answers():
    def global_average_pool(f):
        return f.sum(axis=(1, 2))

    assert exercises.verdict(global_average_pool).splitlines() == [
        "global_average_pool: not right yet. The smallest counterexample:",
        "    f, shape (1, 1, 2)", "        [[[1. 1.]]]", "    your answer = [2.]", "    right answer = [1.]"]


def test_an_error_in_an_answer_is_shown_not_raised():
    def softmax(S):
        return S / 0 if isinstance(S, int) else S.no_such_thing

    shown = exercises.verdict(softmax)
    assert "AttributeError: 'numpy.ndarray' object has no attribute 'no_such_thing'" in shown


def test_an_unknown_name_is_answered_with_the_names():
    def f():
        ...

    shown = exercises.verdict(f)
    assert shown.startswith("f is not an exercise; the name must be one of global_average_pool, ")


def test_an_answer_cannot_change_its_case():
    def softmax(S):
        S -= S.max()
        return np.exp(S) / np.exp(S).sum()

    assert exercises.verdict(softmax).startswith("softmax: right")
