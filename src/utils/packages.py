"""Where a missing Python module comes from: advice that names only packages which exist for this purpose."""

from __future__ import annotations

SOURCES = {
    "Box2D": "box2d",
    "chess": "chess",
    "gymnasium": "gymnasium",
    "jax": "jax",
    "jaxmarl": "jaxmarl",
    "lbforaging": "lbforaging",
    "matrixgames": "git+https://github.com/uoe-agents/matrix-games.git",
    "mlflow": "mlflow",
    "mpe2": "mpe2",
    "multi_agent_ale_py": "multi_agent_ale_py",
    "numba": "numba",
    "optuna": "optuna",
    "overcooked_ai_py": "overcooked-ai",
    "pettingzoo": "pettingzoo",
    "pressureplate": "git+https://github.com/uoe-agents/pressureplate.git",
    "pygame": "pygame-ce",
    "pymunk": "pymunk",
    "ray": "ray",
    "rlcard": "rlcard",
    "rware": "rware",
    "shimmy": "shimmy",
    "smac": "git+https://github.com/oxwhirl/smac.git",  # `smac` on PyPI is an AutoML library
    # The rtree that it pins brings no library.
    "smaclite": "git+https://github.com/uoe-agents/smaclite.git && pip install -U rtree",
    "smacv2": "git+https://github.com/oxwhirl/smacv2.git",
    "sqlalchemy": "sqlalchemy",
    "submitit": "submitit",
    "tensorboard": "tensorboard",
    "torch": "torch",
    "trackio": "trackio",
    "vmas": "vmas",
    "wandb": "wandb",
}
"""Top module -> what pip installs it from. Only what was looked up; a guessed name may be a stranger's package."""


def missing_module(name: str | None) -> str:
    """Return "the Python module 'x', which is not installed; ..." with the command that installs it, if it is known.

    Args:
        name: the `name` of a ModuleNotFoundError.
    """
    top = (name or "").split(".")[0]
    advice = f"`pip install {SOURCES[top]}`" if top in SOURCES else "if it is your own, put its folder on PYTHONPATH"
    return f"the Python module {name!r}, which is not installed; {advice}"
