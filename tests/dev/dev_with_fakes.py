"""`yakt dev` over fake nodes: `dev_with_fakes.py DIRECTORY`, on ports that are free."""

import functools
import sys
from pathlib import Path

import trio

from yakt.dev.command import run_dev
from yakt.dev.configs import dev_configs

FAKE_NODE = Path(__file__).with_name("fake_node.py")


def fake_command(config_path: Path) -> list[str]:
    """What runs one fake node."""
    return [sys.executable, str(FAKE_NODE), str(config_path)]


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    configs = dev_configs(directory, nodes=3, base_port=0)
    sys.exit(trio.run(functools.partial(run_dev, configs, directory, False, command=fake_command)))
