"""Where trackers write what would else lie in the user's folders; read when they are imported."""

import atexit
import os
import shutil
import tempfile

PLACE = tempfile.mkdtemp(prefix="fgspec-trackers-")
atexit.register(shutil.rmtree, PLACE, ignore_errors=True)
os.environ["TRACKIO_DIR"] = PLACE
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.pop("MLFLOW_TRACKING_URI", None)
