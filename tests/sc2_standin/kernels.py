"""What the stand-in asks of skirmish's engine, compiled. The world has one row."""

from __future__ import annotations

from typing import Any

from pymarl.envs.skirmish.battle.arrays import ATTACK_MOVE
from pymarl.envs.skirmish.battle.combat import die, explode
from pymarl.envs.skirmish.battle.engine import advance, command, start
from pymarl.envs.skirmish.battle.kernels import STAMP, unpack
from pymarl.utils.jit import inlined, kernel


@inlined
def lead_healers(rules: Any, kinds: Any, units: Any) -> None:
    """Send the enemies' healers after the nearest agent: HUNT moves nobody without a weapon."""
    for i in range(rules.n_agents, units.size):
        healer = units[i]
        if healer.health <= 0 or kinds[healer.kind].heal == 0:
            continue
        nearest = 1e9
        for a in range(rules.n_agents):
            agent = units[a]
            dx, dy = agent.x - healer.x, agent.y - healer.y
            if agent.health > 0 and dx * dx + dy * dy < nearest:
                nearest = dx * dx + dy * dy
                healer.order, healer.goal_x, healer.goal_y = ATTACK_MOVE, agent.x, agent.y


def compile_kernels(stamp: str) -> Any:
    """Return begin, play, tell and kill; `stamp` keeps numba's cache as new as skirmish's sources."""

    @kernel
    def begin(seed: Any, env: Any) -> None:
        """Put the units where an episode of `seed` begins; `env` is what skirmish's `pack` returns."""
        stamp  # noqa: B018
        rules, _, _, world, _, _ = unpack(env, 0)
        start(0, seed, rules, world)

    @kernel
    def play(first: int, end: int, lead_every: int, env: Any) -> None:
        """Play loops first..end-1; healers of the enemies are sent to an agent in every `lead_every`th, 0: never."""
        stamp  # noqa: B018
        rules, terrain, kinds, world, scratch, _ = unpack(env, 0)
        for loop in range(first, end):
            if lead_every > 0 and loop % lead_every == 0:
                lead_healers(rules, kinds, world.units[0])
            advance(0, rules, terrain, kinds, world, scratch)

    @kernel
    def tell(orders: Any, env: Any) -> None:
        """Give orders, [n, 5]: unit, order, target, x, y."""
        stamp  # noqa: B018
        _, _, kinds, world, _, _ = unpack(env, 0)
        for k in range(orders.shape[0]):
            unit, order, target = int(orders[k, 0]), int(orders[k, 1]), int(orders[k, 2])
            command(kinds, world.units[0], unit, order, target, orders[k, 3], orders[k, 4])

    @kernel
    def kill(indices: Any, env: Any) -> None:
        """Let units die."""
        stamp  # noqa: B018
        _, _, kinds, world, scratch, _ = unpack(env, 0)
        units, blasts = world.units[0], scratch.blasts
        for k in range(indices.size):
            blasts[0] = 0
            if units[indices[k]].health > 0:
                die(units, kinds, blasts, indices[k])
                explode(units, kinds, blasts)

    return begin, play, tell, kill


begin, play, tell, kill = compile_kernels(STAMP)
