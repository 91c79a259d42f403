"""The test command: pytest under coverage, then the bar for the core. Arguments are pytest's."""

import subprocess
import sys

FULLY_COVERED = "service/domain/*,service/protocol/*,service/control/*"


def main(arguments: list[str]) -> int:
    """Run everything; 0 if all is well."""
    coverage = [sys.executable, "-m", "coverage"]
    code = subprocess.call([*coverage, "run", "-m", "pytest", *arguments])
    subprocess.call([*coverage, "combine", "--quiet"])
    if code == 0 and not arguments:
        code = subprocess.call([*coverage, "report", f"--include={FULLY_COVERED}", "--fail-under=100"])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
