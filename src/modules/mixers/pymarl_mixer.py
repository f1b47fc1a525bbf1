"""A mixer that was written for PyMARL, as it is."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from pymarl.envs.specs import EnvInfo
from pymarl.modules.foreign import keep_names, same, trial
from pymarl.modules.mixers import REGISTRY
from pymarl.modules.mixers.mixer import BaseMixer, MixerInputs
from pymarl.utils.errors import UserError, one_line, users_lines
from pymarl.utils.pymarl_args import Args, build_as_pymarl


class PyMARLMixer(BaseMixer):
    """The mixer that `args.mixer` names, built as `Mixer(args)`, called as `mixer(agent_qs, states)`.

    These are [B, T, N] and [B, T, S], and the team's value is [B, T, 1].

    Args:
        args: the run's keys.
        info: of the env.

    Raises:
        UserError: it cannot be built or called so, or a step's value depends on other steps.
    """

    monotone = False

    def __init__(self, args: Args, info: EnvInfo) -> None:
        super().__init__(args, info)
        self.network = build_as_pymarl("mixer", REGISTRY[args.mixer], args).to(args.device)
        keep_names(self)
        self._try_out(args.mixer)

    def mix(self, inputs: MixerInputs) -> Tensor:
        """Return [P, 1]: each row is an episode of one step."""
        return self._team_value(inputs.q.unsqueeze(1), inputs.state.unsqueeze(1))

    def _team_value(self, q: Tensor, state: Tensor) -> Tensor:
        """Return [B * T, 1] for q [B, T, N] and state [B, T, S]."""
        return cast(Tensor, self.network(q.contiguous(), state.contiguous())).reshape(-1, 1)

    def _try_out(self, name: str) -> None:
        with trial(self.network) as draw:
            q, state = draw(2, 3, self.n_agents), draw(2, 3, self.state_shape)
            try:
                whole = self._team_value(q, state)
            except Exception as error:
                raise UserError(
                    f"mixer={name!r} cannot be called as in PyMARL, mixer(agent_qs [2, 3, {self.n_agents}], "
                    f"states [2, 3, {self.state_shape}]): {one_line(error)}; one that looks at more is a BaseMixer, "
                    f"see docs/extending.md", users_lines(error),
                ) from error  # fmt: skip
            rows = self._team_value(q.reshape(6, 1, -1), state.reshape(6, 1, -1))
        if len(whole) != 6:
            raise UserError(f"mixer={name!r} gives {len(whole)} values for 2 episodes of 3 steps, expected [2, 3, 1]")
        if not same(whole, rows):
            raise UserError(
                f"mixer={name!r} mixes the steps of an episode, and here a mixer gets single steps; write it as a "
                f"BaseMixer that looks at one, see docs/extending.md"
            )
