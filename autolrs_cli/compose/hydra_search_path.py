"""The person's own configuration folder, on Hydra's search path behind ours: schedule=tuned/... lies there."""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from autolrs_cli.compose.user_configs import user_configs


class UserConfigs(SearchPathPlugin):
    """Lets Hydra find what `autolrs tune` kept."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the folder, if there is one: Hydra warns about folders that are not there."""
        folder = user_configs()
        if folder.is_dir():
            search_path.append("autolrs-user", f"file://{folder}")


def register_user_configs() -> None:
    """Make Hydra look there in this process."""
    Plugins.instance().register(UserConfigs)
