#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes the README's picture: the dashboard page that `edgeml demo` wrote, at desktop and phone width, side by side.

    edgeml demo --dashboard page.html && python tools/dashboard_picture.py page.html  # writes docs/images/dashboard.png

Needs chromium. Both widths are real viewports (frames), so that the page lays itself out as it does on the device.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

PICTURE: Final = Path(__file__).resolve().parents[1] / "docs" / "images" / "dashboard.png"
BYTES_MAX: Final = 300_000
DESKTOP: Final = (1180, 1000)  # CSS pixels
PHONE: Final = (390, 1000)
MARGIN: Final = 24
TIMEOUT_S: Final = 60

FRAMES: Final = """<!doctype html><style>
body {{ margin: 0; padding: {margin}px; display: flex; gap: {margin}px; align-items: flex-start; background: #d5dae1; }}
iframe {{ border: 0; border-radius: 10px; box-shadow: 0 2px 14px #0004; background: #fff; }}
</style>
<iframe src="{page}" width="{desktop[0]}" height="{desktop[1]}" scrolling="no"></iframe>
<iframe src="{page}" width="{phone[0]}" height="{phone[1]}" scrolling="no"></iframe>
"""


def take(page: Path, picture: Path) -> None:
    """Render `page` with headless chromium into the PNG `picture`."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("tools/dashboard_picture.py needs chromium, and none is on PATH")
    width = DESKTOP[0] + PHONE[0] + 3 * MARGIN
    height = max(DESKTOP[1], PHONE[1]) + 2 * MARGIN
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder) / "frames.html"
        frames.write_text(FRAMES.format(page=page.resolve().as_uri(), desktop=DESKTOP, phone=PHONE, margin=MARGIN))
        command = [browser, "--headless=new", "--hide-scrollbars", f"--user-data-dir={folder}/profile"]
        if os.geteuid() == 0:
            command.append("--no-sandbox")  # chromium refuses its sandbox to root
        command += [f"--window-size={width},{height}", f"--screenshot={picture.resolve()}", frames.as_uri()]
        subprocess.run(command, check=True, timeout=TIMEOUT_S, capture_output=True)


def main() -> None:
    """Take the picture and refuse one that is too large for a README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=PICTURE)
    args = parser.parse_args()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    take(args.page, args.output)
    size = args.output.stat().st_size
    print(f"{args.output}: {size:,} bytes")
    if size > BYTES_MAX:
        sys.exit(f"more than {BYTES_MAX:,} bytes")


if __name__ == "__main__":
    main()
