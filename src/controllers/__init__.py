"""Multi-agent controllers by the name that `mac` takes in a YAML file."""

from pymarl.utils.registry import Registry

REGISTRY = Registry(
    "mac",
    {
        "basic_mac": "pymarl.controllers.basic_controller:BasicMAC",
        "n_mac": "pymarl.controllers.n_controller:NMAC",
    },
)
