"""Environments: what was set, in the order in which it was last set."""

from __future__ import annotations

import random

from croze.llb.env import Env


def test_an_environment_is_what_was_set_in_the_order_of_the_last_time() -> None:
    dice = random.Random(1)
    pairs: list[tuple[Env, dict[str, str]]] = [(Env(), {})]
    for _ in range(2000):
        env, model = dice.choice(pairs[-20:])
        model = dict(model)
        for _ in range(dice.randrange(1, 5)):
            key, value = f"k{dice.randrange(40)}", str(dice.random())
            match dice.randrange(8):
                case 0:
                    env = env.without(key)
                    model.pop(key, None)
                case 1:
                    env = env.default(key, value)
                    model.setdefault(key, value)
                case 2:
                    both = {key: value, "k1": value}
                    env = env.update(both)
                    model = {k: v for k, v in model.items() if k not in both} | both
                case _:
                    env = env.set(key, value)
                    model.pop(key, None)
                    model[key] = value
            assert (env.get(key), key in env) == (model.get(key), key in model)
        pairs.append((env, model))
    for env, model in pairs:  # those that others were made from, too
        assert list(env.items()) == list(model.items())
        assert len(env) == len(model)
        assert env.pairs() == [f"{k}={v}" for k, v in model.items()]


def test_setting_many_one_by_one_copies_each_a_few_times() -> None:
    env = Env()
    copied = 0
    for number in range(4096):
        env = env.set(f"k{number}", "v")
        copied += len(env._layers[-1])
    assert copied < 4096 * 16
    assert len(env._layers) <= 12
    assert env["k0"] == env["k4095"] == "v"
