"""`ollamapy config check`: whether the user's configuration file is right. The daemon reads the same one."""

from ollamapy.errors import InvalidInput
from ollamapy.remotes.hosts import Hosts
from ollamapy.settings import Settings


def config(settings: Settings, action: str) -> None:
    """Prints what the file has. Raises InvalidInput naming what is wrong in it."""
    if action != "check":
        raise InvalidInput(f"unknown action {action!r}", hint="ollamapy config check")
    path = settings.config_file
    if not path.exists():
        print(f"{path} is not there: nothing is configured")
        return
    hosts = Hosts.load(path)
    print(f"{path}: all is well; registries: {', '.join(sorted(hosts.by_host)) or 'none'}")
