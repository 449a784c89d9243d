"""Print the oldest packages that setup.cfg allows, as requirements for pip."""

import configparser
import re
import sys
from pathlib import Path

# the oldest ones that have wheels for this Python, where setup.cfg's own are older than it
FIRST_WITH_WHEELS = {(3, 12): {"numpy": "1.26", "matplotlib": "3.8", "pillow": "10.1"},
                     (3, 13): {"numpy": "2.1", "matplotlib": "3.9.2", "pillow": "10.4"}}

settings = configparser.ConfigParser()
settings.read(Path(__file__).parent.parent / "setup.cfg", encoding="utf-8")
found = dict(re.findall(r"^(\w+) >= ([\d.]+)$", settings["options"]["install_requires"], re.M))
found.update({name: version for name, version in FIRST_WITH_WHEELS.get(sys.version_info[:2], {}).items()})
print(*(f"{name}=={version}.*" for name, version in found.items()))
