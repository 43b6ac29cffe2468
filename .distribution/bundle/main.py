"""The bundle's entry point: serve MCP over standard input and output."""

import os
import sys
from pathlib import Path

from batchwright.__main__ import main

# A host starts a bundle in the bundle's own folder, or in the host's: neither holds the user's data.
os.chdir(Path.home())
sys.exit(main([]))
