"""Every module of ours has one name, whoever imports it and in whatever order."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parent.parent / "src"
ONE_NAME = """
names = {}
for name, module in list(sys.modules.items()):
    file = getattr(module, "__file__", None) or ""
    if file.startswith(SRC):
        names.setdefault(file, set()).add(id(module))
        assert module.__name__ == "pymarl" or module.__name__.startswith("pymarl."), (name, module.__name__)
        assert module.__spec__.name == module.__name__
assert len(names) > LEAST
assert all(len(ids) == 1 for ids in names.values()), names
"""


def python(code: str, *, path: list[Path], least: int = 3) -> None:
    """Run code in a fresh interpreter with these folders on its path, then look for modules of two names."""
    begin = f"import sys\nSRC, LEAST = {str(SRC)!r}, {least}\nsys.path[1:1] = {[str(folder) for folder in path]!r}\n"
    done = subprocess.run([sys.executable, "-c", begin + code + ONE_NAME], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "code",
    [
        "from modules.mixers.vdn import VDNMixer\nimport pymarl.modules.mixers.vdn as v\nassert v.VDNMixer\n",
        "import pymarl.learners.q_learner as q\nimport learners.q_learner\nassert learners.q_learner is q\n",
        "import pymarl, envs\nfrom envs import REGISTRY\nimport pymarl.envs as e\nassert REGISTRY is e.REGISTRY\n",
        "import envs\nimport pymarl.envs as e\nassert envs is e\nfrom utils import errors\n",  # before any name of ours
        "import pymarl\ntry:\n    import envs.x\nexcept ModuleNotFoundError as e:\n    assert 'envs.x' in str(e)\n",
    ],
)
def test_pymarls_names_are_the_same_modules(code: str) -> None:
    python(code, path=[SRC])


def test_a_users_package_of_such_a_name_is_his_own(tmp_path: Path) -> None:
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "__init__.py").write_text("")
    (tmp_path / "utils" / "mine.py").write_text("MINE = 1\n")
    (tmp_path / "envs").mkdir()  # without modules: not a package of anyone's
    code = "import pymarl.envs\nfrom utils.mine import MINE\nimport envs\nassert envs is pymarl.envs\n"
    python(code + "try:\n    import utils.errors\n    assert False\nexcept ModuleNotFoundError:\n    pass\n"
           "del sys.modules['utils'], sys.modules['utils.mine']\n", path=[tmp_path, SRC])  # fmt: skip


def test_modules_of_a_fork_are_its_own_although_ours_come_first(tmp_path: Path) -> None:
    """As with `python src/main.py`; PyMARL's utils is a folder without __init__.py."""
    for name, text in {
        "modules/__init__.py": "", "modules/agents/__init__.py": "", "utils/th_utils.py": "HELP = 1\n",
        "modules/agents/rnn_agent.py": "from utils.th_utils import HELP\n"
        "from envs.multiagentenv import MultiAgentEnv\n",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    code = (
        "import pymarl.envs.multiagentenv as ours\nfrom modules.agents import rnn_agent\n"
        "assert rnn_agent.HELP == 1 and rnn_agent.MultiAgentEnv is ours.MultiAgentEnv\n"
        "from utils.errors import UserError\nimport pymarl.utils.errors as e\nassert UserError is e.UserError\n"
        "import pymarl.modules.agents.rnn_agent as r\nassert r is not rnn_agent\n"
    )
    python(code, path=[SRC, tmp_path])


def test_a_whole_run_imports_each_module_once(tmp_path: Path) -> None:
    words = ["--config=qmix", "--env-config=one_step_matrix_game", "with", "t_max=20", "batch_size_run=2",
             "runner=parallel", f"local_results_path={tmp_path}", "rnn_hidden_dim=8", "test_nepisode=1"]  # fmt: skip
    python(f"from pymarl import main\nassert main.main({words!r}) == 0\n", path=[SRC], least=60)


def test_installed_it_takes_one_name(tmp_path: Path) -> None:
    """As a package in site-packages: the folders inside, src/pymarl.py as __init__."""
    package = tmp_path / "site" / "pymarl"
    shutil.copytree(SRC, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "pymarl.py").rename(package / "__init__.py")
    code = (
        "import pymarl.learners.nq_learner as q\nfrom learners.nq_learner import NQLearner\n"
        "assert q.NQLearner is NQLearner and q.__file__.startswith(SITE)\n"
    )
    begin = f"import sys\nSRC = SITE = {str(package)!r}\nLEAST = 20\nsys.path.insert(0, {str(package.parent)!r})\n"
    done = subprocess.run([sys.executable, "-c", begin + code + ONE_NAME], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in package.parent.iterdir()}
    assert names == {"pymarl"}
