"""Names for builders that were given none: two words of a cooperage."""

from __future__ import annotations

import random
from collections.abc import Callable

_ADJECTIVES = """
airy amber ample aromatic bold bound brisk broad charred curved deep dry even fine firm full
golden hooped humble keen level light lively mellow mild neat nimble oaken plain polished quiet
ready round rustic seasoned sharp smooth snug solid sound steady steamed stout strong supple
tall tight toasted tough true upright warm watertight wide
"""
_NOUNS = """
adze anvil barrel beakhead bilge buckler bung butt cask chime chiv chock cooper crown croze
driver firkin flagon flange hogshead hoop howel jointer keg kilderkin ladle mallet notch pipe
puncheon quoin rivet rundlet saddle shave spigot spile splint stave tankard tierce topper truss
tun vat wedge
"""
TRIES = 6


def new_name(is_taken: Callable[[str], bool]) -> str:
    """A name that nobody has: `oaken_stave`, after some tries with a digit behind it."""
    adjectives, nouns = _ADJECTIVES.split(), _NOUNS.split()
    for attempt in range(TRIES):
        name = f"{random.choice(adjectives)}_{random.choice(nouns)}"
        if attempt:
            name += str(random.randrange(10))
        if not is_taken(name):
            return name
    raise LookupError("failed to generate random name")
