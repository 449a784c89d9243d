"""Make the README's picture of the page: `python -m tests.page_picture`.

It shows tutorials/grace_hopper.cam.html, which `cam-numpy page --out tutorials` writes. Needs the extra
`test`, Chromium and its driver.
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from tests.browser import Browser

TUTORIALS = Path(__file__).parent.parent / "tutorials"
PAGE, PICTURE = TUTORIALS / "grace_hopper.cam.html", TUTORIALS / "page.png"
SIZE = (1360, 960)


def picture(browser):
    """The first step of the page that is open, with the pointer on the symbol of the map."""
    browser.resize(*SIZE)
    browser.point('#step-cell .symbol[data-lights="M"]')
    return Image.open(io.BytesIO(browser.driver.get_screenshot_as_png())).convert("RGB")


def main():
    # the browser may still write into the folder when it is removed
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        shutil.copy(PAGE, folder)
        try:
            browser = Browser(Path(folder))
        except pytest.skip.Exception as missing:
            sys.exit(str(missing))
        try:
            browser.load(PAGE.stem)
            picture(browser).save(PICTURE, optimize=True)
        finally:
            browser.driver.quit()
    print(f"{PICTURE.name}  {PICTURE.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
