"""Put the console's two libraries into the package: at build time, and for `make setup`.

They come from npm by lock file, are copied next to the console's own static files, and are never committed.
Run as a script it copies them; as a hatchling build hook it does so before a wheel or source archive is made.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VENDOR = Path("src/trueup/web/console/static/vendor")

# Name below VENDOR -> path below node_modules. Licences travel with what they license.
ASSETS = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "htmx.LICENSE.txt": "htmx.org/LICENSE",
    "echarts.min.js": "echarts/dist/echarts.min.js",
    "echarts.LICENSE.txt": "echarts/LICENSE",
    "echarts.NOTICE.txt": "echarts/NOTICE",
    "zrender.LICENSE.txt": "zrender/LICENSE",
}


class AssetsMissing(Exception):
    """The console's libraries are neither in the package nor in node_modules."""


def copy_assets(root: Path, *, replace: bool = False) -> list[Path]:
    """Copy every asset that the package lacks from node_modules, and return what was copied.

    With `replace`, what is there already is copied anew. Refuses, naming each missing file, when one is in neither
    place; nothing is copied then.
    """
    wanted = {
        root / VENDOR / name: root / "node_modules" / source
        for name, source in ASSETS.items()
        if replace or not (root / VENDOR / name).is_file()
    }
    missing = [source.relative_to(root).as_posix() for source in wanted.values() if not source.is_file()]
    if missing:
        raise AssetsMissing(
            f"The console's libraries are missing: {', '.join(missing)}. They come from npm by lock file; "
            f"run `make setup` (or `npm ci`) in {root} and build again."
        )
    for target, source in wanted.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return list(wanted)


class ConsoleAssets(BuildHookInterface[Any]):
    """Hatchling's hook: a distribution without the console's libraries is refused, not built."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Copy the assets, except for an editable install, which reads the working tree."""
        if version != "editable":
            copy_assets(Path(self.root))


if __name__ == "__main__":
    try:
        copy_assets(Path(__file__).resolve().parent, replace=True)
    except AssetsMissing as missing:
        sys.exit(str(missing))
