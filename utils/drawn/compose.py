"""One image from chance: what stands where, seen from which side, and before what."""

import numpy as np

from utils.drawn import beasts, craft, road, scenes, small
from utils.drawn.camera import View, photograph
from utils.drawn.colours import between, chance, pick

MAKERS = {
    "airplane": craft.airplane,
    "automobile": road.automobile,
    "bird": small.bird,
    "cat": beasts.cat,
    "deer": beasts.deer,
    "dog": beasts.dog,
    "frog": small.frog,
    "horse": beasts.horse,
    "ship": craft.ship,
    "truck": road.truck,
}
# Loose habits, as in life: a ship is mostly at sea, but nearly every class is met nearly everywhere.
HABITS = {
    "airplane": "heaven heaven heaven street meadow snow sand sea wall",
    "automobile": "street street meadow sand snow wall sea wood room",
    "bird": "heaven leaves meadow wood sea sand snow wall street",
    "cat": "room room meadow street wall leaves snow sand wood",
    "deer": "meadow meadow wood wood snow sand leaves wall street",
    "dog": "room meadow meadow street wall sand snow sea wood",
    "frog": "leaves leaves meadow sand wall sea room wood street",
    "horse": "meadow meadow sand wood street snow wall sea room",
    "ship": "sea sea sea sea heaven wall snow sand street",
    "truck": "street street meadow sand snow wall wood sea room",
}


def compose(name, size, rng):
    """Return an image (size, size, 3) uint8 of the class `name`; every choice is drawn from `rng`."""
    close_up = chance(rng, 0.25)
    yaw = _direction(rng, close_up)
    glance = rng.random() if chance(rng, 0.55) else 0  # it looks ahead, or more or less at the camera
    body = MAKERS[name](rng, glance * float(np.clip(90 - yaw, -85, 85)))
    view = View(
        yaw=yaw,
        elevation=between(rng, *body.elevations),
        roll=rng.normal(0, 5),
        nearness=between(rng, 0.03, 0.3),
        fill=between(rng, 0.72, 1.0),
        centre=tuple(rng.normal(0.5, 0.04, 2)),
        focus=close_up and any(part.focus for part in body.parts),
    )
    scene = getattr(scenes, pick(rng, HABITS[name].split()))
    return photograph(body, view, scene, rng, size)


def _direction(rng, close_up):
    """Return a yaw: from the side three times in five, else from the front; seldom, and no face, from behind."""
    share = rng.random()
    if close_up:
        yaw = between(rng, 0, 90)
    elif share < 0.6:
        yaw = between(rng, -18, 35)
    elif share < 0.92:
        yaw = between(rng, 35, 90)
    else:
        yaw = between(rng, -45, -18)
    return yaw if chance(rng, 0.5) else 180 - yaw
