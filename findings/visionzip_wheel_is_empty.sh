#!/usr/bin/env bash
# visionzip 0.1.3, the published package of VisionZip.
#
# Guess: after `pip install visionzip`, `import visionzip` works, as its page says.
# What happens: the wheel holds its metadata and not one module. pip reports success, the import
#   fails. (The source archive is not looked at here: pip takes the wheel.)
# Who is hurt: whoever compares with VisionZip: a clone of the repository is what runs, at whatever
#   commit, and "visionzip==0.1.3" in a list of requirements pins nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps visionzip==0.1.3
"$folder/env/bin/python" - <<'PY'
import importlib.util
import sys
from importlib.metadata import distribution

found = distribution("visionzip")
modules = [str(file) for file in found.files or [] if file.suffix == ".py"]
spec = importlib.util.find_spec("visionzip")
print(f"visionzip {found.version}: Python files installed: {modules or 'none'}; "
      f"import finds {'nothing' if spec is None else spec.origin}")
sys.exit(bool(modules) or spec is not None)
PY
