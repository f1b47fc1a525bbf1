"""Multi-agent controllers by the name that `mac` takes in a YAML file."""

from utils.registry import Registry

REGISTRY = Registry(
    "mac",
    {
        "basic_mac": "controllers.basic_controller:BasicMAC",
        "n_mac": "controllers.n_controller:NMAC",
    },
)
