"""The test command: pytest under coverage, then the bar for the core. Arguments are pytest's.

Without any, two halves run at once, since most tests wait more than they compute. The second is shown at its end.
"""

import shutil
import subprocess
import sys
import tempfile

FULLY_COVERED = "service/domain/*,service/protocol/*,service/control/*"
FIRST_HALF = ("tests/interop", "tests/front", "tests/browser", "tests/scenario", "tests/bench")
"""What takes about half of the time. The second half is whatever else there is."""

COVERAGE = (sys.executable, "-m", "coverage")
PYTEST = (*COVERAGE, "run", "-m", "pytest")


def main(arguments: list[str]) -> int:
    """Run everything; 0 if all is well."""
    code = subprocess.call([*PYTEST, *arguments]) if arguments else _both_halves()
    subprocess.call([*COVERAGE, "combine", "--quiet"])
    if code == 0 and not arguments:
        code = subprocess.call([*COVERAGE, "report", f"--include={FULLY_COVERED}", "--fail-under=100"])
    return code


def _both_halves() -> int:
    with tempfile.TemporaryFile() as shown_later:
        others = [f"--ignore={folder}" for folder in FIRST_HALF]
        second = subprocess.Popen([*PYTEST, *others], stdout=shown_later, stderr=subprocess.STDOUT)
        try:
            code = subprocess.call([*PYTEST, *FIRST_HALF])
        finally:
            code_of_second = second.wait()
        shown_later.seek(0)
        shutil.copyfileobj(shown_later, sys.stdout.buffer)
    return code or code_of_second


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
