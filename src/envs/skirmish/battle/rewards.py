"""What a step is worth and how a battle ends: SMAC's reward_battle, update_units and only_medivac_left.

Sums are taken in SMAC's order, so that rewards agree to the last bit.
"""

from __future__ import annotations

from typing import Any

from pymarl.envs.skirmish.battle.features import is_healer
from pymarl.utils.jit import inlined

LOST, DRAWN, WON, GOES_ON = -1, 0, 1, 2
BATTLE_WON, DEAD_ALLIES, DEAD_ENEMIES = range(3)
"""Columns of `info`."""


@inlined
def before_step(b: Any, rules: Any, world: Any) -> None:
    """Note what every unit of row b has to lose; 0 for the dead, whose shields may have outlived them."""
    for u in range(rules.n_agents + rules.n_enemies):
        unit = world.units[b, u]
        unit.held_total = unit.health + unit.shield if unit.health > 0 else 0.0


@inlined
def settle(b: Any, rules: Any, kinds: Any, world: Any, out: Any, info: Any) -> None:
    """Write reward, terminated, truncated and info of row b after a step that has been counted in `steps`.

    Args:
        b: the row.
        rules: Rules.
        kinds: [K] KIND.
        world: World, as the step left it, with held_total as before_step left it.
        out: Out.
        info: [B, 3] int64; gets 1 for a battle won, and the numbers of dead allies and enemies.
    """
    end, dead_allies, dead_enemies = battle_end(b, rules, kinds, world)
    reward = battle_reward(b, rules, world)
    if rules.reward_sparse:
        reward = 0.0 if end == GOES_ON else float(end)
    elif end == WON:
        reward += rules.reward_win
    elif end == LOST:
        reward += rules.reward_defeat
    out.reward[b, 0] = reward / rules.reward_divisor
    out.terminated[b] = end != GOES_ON
    out.truncated[b] = end == GOES_ON and world.steps[b] >= rules.episode_limit
    info[b, BATTLE_WON] = end == WON
    info[b, DEAD_ALLIES] = dead_allies
    info[b, DEAD_ENEMIES] = dead_enemies


@inlined
def battle_reward(b: Any, rules: Any, world: Any) -> float:
    """Return damage dealt plus the value of kills, and unless only what is positive counts, minus the own losses.

    With `quirks` the positive-only reward is the absolute value, as SMAC has it: shields and life that enemies get
    back are rewarded. Without, they are worth nothing.
    """
    hurt, lost, deaths = 0.0, 0.0, 0.0
    for u in range(rules.n_agents):
        unit = world.units[b, u]
        if not rules.reward_only_positive and unit.held_total > 0:
            if unit.health > 0:
                lost += rules.reward_negative_scale * (unit.held_total - unit.health - unit.shield)
            else:
                lost += unit.held_total * rules.reward_negative_scale
                deaths -= rules.reward_death_value * rules.reward_negative_scale
    for u in range(rules.n_agents, rules.n_agents + rules.n_enemies):
        unit = world.units[b, u]
        if unit.held_total > 0:
            if unit.health > 0:
                hurt += unit.held_total - unit.health - unit.shield
            else:
                hurt += unit.held_total
                deaths += rules.reward_death_value
    if not rules.reward_only_positive:
        return hurt + deaths - lost
    return abs(hurt + deaths) if rules.quirks else max(hurt + deaths, 0.0)


@inlined
def battle_end(b: Any, rules: Any, kinds: Any, world: Any) -> tuple[int, int, int]:
    """Return LOST, DRAWN, WON or GOES_ON, and the numbers of dead allies and enemies.

    Where there are healers, allies without anybody else have lost, also if no enemy is left. A single enemy healer
    has lost as well; with `quirks` two have not.
    """
    allies, fighters, enemies, foes = 0, 0, 0, 0
    for u in range(rules.n_agents + rules.n_enemies):
        unit = world.units[b, u]
        alive = unit.health > 0
        fights = alive and not is_healer(u, rules, kinds, world.units[b])
        if u < rules.n_agents:
            allies += alive
            fighters += fights
        else:
            enemies += alive
            foes += fights
    end = GOES_ON
    if fighters == 0 and (rules.healers or enemies > 0):
        end = LOST
    elif enemies == 0 and allies == 0:
        end = DRAWN
    elif foes == 0 and (enemies <= 1 or not rules.quirks):
        end = WON
    return end, rules.n_agents - allies, rules.n_enemies - enemies
