"""Random tasks with knobs for the search for a missed deadline; synthetic, for the tests alone."""

from heterolith.scheduler.adaptive.model import (
    AdaptiveTask,
    Degree,
    KnobLayer,
    KnobNetwork,
    Scenario,
)
from heterolith.scheduler.adaptive.sharing import Sharing

from .fixtures import board


def network(rng, name):
    """Return a network of one to four blocks with up to four degrees each."""
    layers = []
    for index in range(rng.randint(1, 4)):
        time = rng.choice((rng.randint(5, 40), rng.randint(20, 400)))
        loss, degrees = 0.0, []
        for number in range(rng.randint(1, 4)):
            if degrees and time >= degrees[-1].wcet_ns:
                break
            best = max(1, int(time * rng.choice((0.3, 0.6, 1))))
            degrees.append(Degree(name=f"d{number}", wcet_ns=time, bcet_ns=best, loss=loss))
            time = max(1, int(time * rng.uniform(0.4, 0.95)))
            loss += 1e-5 + rng.choice((0.001, 0.01, 0.05)) * rng.random()
        layers.append(KnobLayer(name=f"b{index}", degrees=tuple(degrees)))
    return KnobNetwork(name=name, layers=tuple(layers))


def scenario(rng, seed):
    """Return a scenario of up to six tasks near the edge of what fits, and what sharing saves."""
    networks = [network(rng, f"n{i}") for i in range(rng.randint(1, 3))]
    picked = [rng.choice(networks) for _ in range(rng.randint(1, 6))]
    tight, common = rng.uniform(0.5, 1.3), rng.random() < 0.4
    weights = [rng.uniform(0.2, 1) for _ in picked]
    together = sum(net.wcet_ns for net in picked)
    tasks = []
    for index, (net, weight) in enumerate(zip(picked, weights, strict=True)):
        usual = together if common else net.wcet_ns * sum(weights) / weight
        period = max(1, round(usual * tight))
        deadline = max(1, round(period * rng.choice((1, 1, rng.uniform(0.5, 1)))))
        offset = rng.choice((0, rng.randrange(period)))
        tasks.append(
            AdaptiveTask(
                name=f"t{index}",
                network=net,
                period_ns=period,
                deadline_ns=deadline,
                offset_ns=offset,
            )
        )
    made = Scenario(
        name="random",
        board=board(),
        tasks=tuple(tasks),
        horizon_ns=max(task.period_ns for task in tasks) * 50 + 1,
        seed=seed,
        execution=rng.choice(("wcet", "uniform", "extremes")),
        arrival=rng.choice(("periodic", "sporadic")),
    )
    return made, sharing(rng, networks)


def sharing(rng, networks):
    """Return no sharing, batches, or batches and co-runs."""
    once = {
        net.name: {
            (layer.name, degree.name): rng.randrange(900_000)
            for layer in net.layers
            for degree in layer.degrees
        }
        for net in networks
    }
    corun = rng.choice((1_000_000, rng.randrange(500_000, 1_000_000)))
    return rng.choice((None, Sharing(once_ppm=once, corun_ppm=corun)))
