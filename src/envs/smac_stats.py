"""The statistics that SMAC's StarCraft2Env gives, for every env that plays its battles."""

from __future__ import annotations


def smac_stats(*, won: int, games: int, timeouts: int, restarts: int = 0) -> dict[str, float]:
    """Return SMAC's statistics over all battles of an env; win_rate is 0 before the first has ended.

    Args:
        won: battles that were won.
        games: battles that have ended.
        timeouts: battles that only the time limit ended; SMAC calls these draws too.
        restarts: games that failed and were started again.
    """
    return {
        "battles_won": won,
        "battles_game": games,
        "battles_draw": timeouts,
        "win_rate": won / games if games else 0.0,
        "timeouts": timeouts,
        "restarts": restarts,
    }
