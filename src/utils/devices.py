"""Copies between the host and a GPU that nobody waits for."""

from __future__ import annotations

import torch
from torch import Tensor


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; from the host to a GPU the copy is queued and not waited for.

    From memory that is not pinned a GPU would finish all that was asked of it first. Torch keeps pinned memory for the
    next time, and knows when a copy from it is over.
    """
    if tensor.device == device:
        return tensor
    if device.type == "cuda" and tensor.is_cpu:
        tensor = tensor.contiguous().pin_memory()
    return tensor.to(device, non_blocking=device.type != "cpu")


class Fetched:
    """A tensor on its way to the host.

    Args:
        tensor: without gradient.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._host = tensor.to("cpu", non_blocking=True)  # torch pins what this copies to
        self._arrived: torch.cuda.Event | None = None
        if tensor.is_cuda:
            self._arrived = torch.cuda.Event()
            self._arrived.record(torch.cuda.current_stream(tensor.device))

    def get(self) -> Tensor:
        """Return it, on the CPU; waits for the copy, and for nothing that was asked of the device after it."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._host
