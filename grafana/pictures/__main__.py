"""`python -m grafana.pictures --prometheus URL` writes docs/pictures/dashboard-*.png. Needs Chromium."""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from grafana.build import GENERATED
from grafana.pictures.page import WIDTH, render
from grafana.pictures.prometheus import PrometheusError, Source

ROOT = GENERATED.parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m grafana.pictures", description=__doc__)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", metavar="URL", help="where to ask")
    parser.add_argument("--minutes", type=float, default=30, help="how far back (30)")
    parser.add_argument("--end", type=float, default=None, help="Unix time of the right edge (now)")
    parser.add_argument("--scrape-interval", type=float, default=15, help="Prometheus' own, in seconds (15)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures", help="the folder for the pictures")
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser's program")
    chosen = parser.parse_args(arguments)
    end: float = chosen.end or time.time()
    try:
        pages = {
            path.stem.removeprefix("signalling-"): render(
                json.loads(path.read_text("utf-8")),
                Source(chosen.prometheus, end - 60 * chosen.minutes, end, chosen.scrape_interval),
            )
            for path in sorted((GENERATED / "dashboards").glob("*.json"))
        }
    except (PrometheusError, OSError) as error:
        print(f"pictures: {error}", file=sys.stderr)  # noqa: T201 - a command line
        return 1
    _photograph(pages, chosen.out, chosen.chromium)
    return 0


def _photograph(pages: dict[str, str], folder: Path, chromium: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": 900})
        for name, page in pages.items():
            tab.set_content(page)
            target = folder / f"dashboard-{name}.png"
            tab.screenshot(path=str(target), full_page=True)
            print(f"written: {target}")  # noqa: T201 - a command line
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
