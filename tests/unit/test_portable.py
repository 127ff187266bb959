"""The library is imported where Python has no module that only POSIX systems have."""

import subprocess
import sys

ABSENT = ("fcntl", "grp", "pwd", "resource", "termios")
PROGRAM = f"""
import sys
import torchvision, rich.progress  # whatever they import is their affair
sys.modules.update(dict.fromkeys({ABSENT!r}))
import pkgutil, unitmean
for module in pkgutil.walk_packages(unitmean.__path__, "unitmean."):
    if not module.name.startswith(("unitmean.pipeline", "unitmean.__main__")):
        __import__(module.name)
from unitmean.disk.leftovers import LOCKS
assert not LOCKS
print("imported")
"""


def test_the_library_imports_no_module_of_posix_alone() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert result.stdout == "imported\n", result.stderr
