"""Where this checkout, its package and its programs are."""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

import batchwright

ROOT = Path(__file__).parents[2]
PACKAGE = Path(batchwright.__file__).parent
SCRIPT = str(Path(sys.executable).with_name(f"batchwright{sysconfig.get_config_var('EXE') or ''}"))
UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
"""None: uv is not installed."""
