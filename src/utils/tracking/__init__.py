"""Where a run's numbers go beside sacred, by name: `use_<name>=True` asks for one. None is imported before that."""

from __future__ import annotations

from pymarl.utils.registry import Registry

REGISTRY = Registry(
    "tracker",
    {
        "tensorboard": "pymarl.utils.tracking.tensorboard:TensorBoard",
        "wandb": "pymarl.utils.tracking.wandb:WandB",
        "mlflow": "pymarl.utils.tracking.mlflow:MLflow",
        "trackio": "pymarl.utils.tracking.trackio:Trackio",
    },
)
