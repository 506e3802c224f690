"""What the rules of verdicts come to, on simulated sessions of which the truth is known; prints Markdown.

    python benchmarks/verdicts.py [SESSIONS]

The table stands in docs/methodology.md, made of 600 sessions a row. A claim that does not hold is NOT REACHED, and
ends the program with 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "analysis"))

from simulated_session import Tally, Truth, simulate

RATIOS = (1.0, 1.05, 1.1, 1.3, 2.5)
NOISES = (0.03, 0.10, 0.20)
COLUMNS = (
    "true ratio",
    "noise",
    "intervals that held the truth after every round",
    "sessions with a false verdict",
    "found",
    "found within 10 rounds",
    "found after (rounds)",
    "rounds of a session",
    "runs saved",
)


def main(sessions: int) -> int:
    """Print the table and the claims; return the exit code."""
    rows = {(ratio, noise): simulate(Truth(ratio, noise), sessions) for ratio in RATIOS for noise in NOISES}
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---" * len(COLUMNS) + "|")
    for (ratio, noise), tally in rows.items():
        print(_row(f"{ratio:g}", noise, tally))
    unseen = {ratio: simulate(Truth(ratio, 0.03, seen=0.0), sessions) for ratio in (1.0, 1.3)}
    for ratio, tally in unseen.items():
        print(_row(f"{ratio:g}, no outlier is seen", 0.03, tally))
    for noise in NOISES:
        print(_row("1.3, all nine", noise, simulate(Truth(1.3, noise, are_all=True), sessions)))
    quiet = [tally.wrong for (_, noise), tally in rows.items() if noise <= 0.10]
    early = min(rows[1.3, 0.03].early, unseen[1.3].early)
    claims = [
        ("sessions with any false verdict, up to 10 % noise", "at most 5 %", max(quiet), max(quiet) <= 0.05),
        ("a true 1.30 at 3 % noise found within ten rounds", "at least 90 %", early, early >= 0.90),
        ("a true 2.5 at 10 % noise found after", "4 rounds in the mean", rows[2.5, 0.10].found_after,
         rows[2.5, 0.10].found_after <= 4.0),
    ]  # fmt: skip
    print("\n| claim | wanted | found |\n|---|---|---|")
    for what, wanted, found, is_reached in claims:
        said = f"{found:.2f} rounds" if "rounds in the mean" in wanted else f"{100 * found:.1f} %"
        print(f"| {what} | {wanted} | {said}{'' if is_reached else ', NOT REACHED'} |")
    return int(not all(claim[-1] for claim in claims))


def _row(ratio: str, noise: float, tally: Tally) -> str:
    shares = (f"{100 * share:.1f} %" for share in (tally.covered, tally.wrong, tally.found, tally.early))
    after = "–" if tally.found < 0.01 else f"{tally.found_after:.1f}"
    cells = (ratio, f"{100 * noise:.0f} %", *shares, after, f"{tally.rounds:.1f}", f"{100 * tally.saved:.0f} %")
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 600))
