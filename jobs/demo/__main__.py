"""The whole way in one command: photographs (drawn, if none are given) to hybrids, reverse mapping and one report.

python -m jobs.demo --run runs/demo
python -m jobs.demo --preset photos --photos PHOTOS --weights WEIGHTS --run runs/photos
"""

from jobs.demo.config import presets
from jobs.demo.run import main
from jobs.runtime import cli

if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
