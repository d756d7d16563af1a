"""The values of formulas' symbols on a small network, by JAX's Jacobians of its parts.

Nothing here comes from the estimators: networks are run with arrays moved, and differentiated.
"""

import itertools
from math import prod

import jax
import jax.numpy as jnp
import numpy as np

from compiler.estimators.guesses import signs
from compiler.named_arrays.paths import flatten
from compiler.named_arrays.random_streams import address
from compiler.network.initialize import initialize
from compiler.network.layers import scaled
from compiler.network.network import every_layer
from compiler.update.forward_passes import stem
from fgspec.formulas.arrays import Array
from fgspec.formulas.notation import COPY

INPUT = "input"


class Reader(str):
    """A layer that reads or adds the output of another.

    Attributes:
        way: `map` or `added`.
    """

    way = ""

    @classmethod
    def by(cls, way, path):
        found = cls(path)
        found.way = way
        return found


class Values:
    """See `fgspec.formulas.evaluation.Values`.

    Names are paths: of layers `block0/dense`, weights `block0/dense/w`, blocks `block0`; losses and
    chains of blocks that end in one are counted from 0.
    """

    def __init__(self, program, state, batch, noise):
        self.program, self.plan, self.state, self.noise = program, program.plan, state, noise
        self.x = stem(program._wide.plan, batch["image"])
        self.label = batch["label"]
        self.blocks = self.plan.network.blocks
        self.layers = dict(every_layer(self.blocks))
        self.params = {f"blocks/{k}": v for k, v in flatten(state.params["blocks"]).items()}
        self.weights = {k.removeprefix("blocks/"): v for k, v in self.params.items()}
        self.units = [[b.name for b in chain] for chain, _ in self.plan.units]
        self.sites = [site for _, site in self.plan.units]
        self.unit_of = {name: i for i, names in enumerate(self.units) for name in names}
        self.known = {}
        how = self.plan.perturbation
        self.index = {"z": "l", "x": "i", "W": "w"}
        if how is not None:
            whole = how.projection.granularity is None or how.projection.granularity.whole
            space = how.perturbed_space
            space = space if not how.projects or whole else space.of_examples()
            self.view = "x" if how.projection.applies_to == "weights" else space.array.key
            self.grouping = how.projection.grouping

    # ------------------------------------------------------------------------- indices

    def at(self, index, bound):
        place = bound.get(index.name, len(self.units) - 1 if index.name == "end" else None)
        if not index.shift:
            return place
        if index.name == "i":
            names = [block.name for block in self.blocks]
            return [*names, None][names.index(place) + index.shift]
        moved = place + index.shift
        return moved if moved < len(self.units) else None

    def derived(self, index, place):
        found = {}
        if index == "W":
            found["l"] = place.rpartition("/")[0]
        if index in "Wli" and isinstance(place, str):
            found["i"] = place.split("/")[0]
            found["b"] = self.unit_of[found["i"]]
        if self.plan.perturbation is not None and self.grouping is not None:
            name = {index: place, **found}.get({"z": "l", "x": "i"}.get(self.view, "W"))
            if name in self.titles():
                found["γ"] = self.titles()[name]
        return found

    def titles(self):
        if "titles" not in self.known:
            chains = self.plan.chains
            self.known["titles"] = {
                n: self.grouping.title(n, chains)
                for n in self.names(self.view)
                if n.split("/")[0] not in self.plan.exact_blocks
            }
        return self.known["titles"]

    def names(self, key):
        if key == "x":
            return [block.name for block in self.blocks]
        if key == "z":
            return [path for path, layer in self.layers.items() if layer.params()]
        return list(self.weights)

    def members(self, domain, index, bound):
        if domain.key == "losses":
            last = len(self.units) - 1
            return [j for j in range(last + 1) if domain.holds(j, bound["b"], last)]
        if domain.key == "moves":
            last = len(self.units) - 1
            key = {"l": "z", "i": "x", "W": "W"}[index.name]
            unit = {n: self.unit_of[n.split("/")[0]] for n in self.names(key)}
            return [n for n in unit if domain.holds(bound["j"], unit[n], last)]
        if domain.key == "members":
            return [n for n, title in self.titles().items() if title == bound["γ"]]
        if domain.key == "layers":
            return self.names("z")
        assert domain.key == "readers"
        return self.readers(bound["l"])

    def readers(self, path):
        """Layers that read or add the output of a layer, and the losses that it feeds."""
        block_name, name = path.split("/")
        order = [block.name for block in self.blocks]
        found = []
        block = self.blocks[order.index(block_name)]
        for layer in block.layers:
            for way, source in self.sources(block, layer):
                if source == name:
                    found.append(Reader.by(way, f"{block_name}/{layer.name}"))
        if name == block.layers[-1].name:
            target, last = self.plan.experiment.gradient.target, len(self.units) - 1
            unit = self.unit_of[block_name]
            moves = target.moves(_Any("l")).holds
            after = order.index(block_name) + 1
            if after < len(order) and any(
                moves(j, unit, last) for j in range(self.unit_of[order[after]], last + 1)
            ):
                following = self.blocks[after]
                for layer in following.layers:
                    for way, source in self.sources(following, layer):
                        if source == INPUT:
                            found.append(Reader.by(way, f"{order[after]}/{layer.name}"))
            if block_name == self.units[unit][-1] and moves(unit, unit, last):
                found.append(("j", unit))
        return found

    def sources(self, block, layer):
        yield "map", block.sources()[layer.name]
        for other in layer.adds:
            yield "added", other

    # --------------------------------------------------------------------------- forward

    def run(self, by=None, single=False):
        """Outputs of layers and blocks, with arrays moved `by`; what was given at rest if not.

        Names: (`z`, layer), (`x`, block), (`W`, weight), (`W of example`, weight), (`out`, layer).
        """
        by = by or {}
        x, outs, features = self.x, {}, {}
        for block in self.blocks:
            at = {INPUT: x}
            for layer in block.layers:
                path = f"{block.name}/{layer.name}"
                entering = at[block.sources()[layer.name]]
                if layer.before is not None:
                    entering = layer.before(entering)
                z = self.pre(path, entering, by)
                for other in layer.adds:
                    z = z + at[other]
                z = z + by.get(("z", path), 0)
                at[layer.name] = layer.activation.apply(z)[0] + by.get(("out", path), 0)
                outs[path] = (z, at[layer.name], entering)
            x = at[block.layers[-1].name] + by.get(("x", block.name), 0)
            features[block.name] = x
        return outs, features

    def pre(self, path, entering, by, weights=None, through=""):
        """Behind the map and its normalization, every example through weights of its own."""
        layer, n = self.layers[path], len(self.x)
        if not layer.params():
            z = layer.map({}, entering)
            return z if layer.after is None else layer.after(z)
        own = {}
        for name in layer.params():
            value = (weights or self.weights)[f"{path}/{name}"] + by.get(("W", f"{path}/{name}"), 0)
            every = jnp.broadcast_to(value, (n, *value.shape))
            own[name] = every + by.get(("W of example", f"{path}/{name}"), 0)
        of_map = {k: v for k, v in own.items() if k in layer.map_params()}
        z = jax.vmap(lambda p, x: layer.map(p, x[None])[0])(of_map, entering)
        if layer.after is None:
            return z
        normed = layer.after(z)
        if through == "past normalization":
            normed = z + jax.lax.stop_gradient(normed - z)
        if not layer.after.affine:
            return normed
        return jax.vmap(lambda p, z: scaled(layer, p, z[None])[0])(own, normed)

    def copies(self, unit, features, rest=None, heads=None, axes=None):
        """The copies of a loss: each of its own features, all else as it is at `rest`."""
        site = self.sites[unit]
        readout, place = self.plan.readout(site), self.plan.place(site)
        params = self.state.params if heads is None else heads
        for name in place:
            params = params[name]
        axes = site.axes if axes is None else axes
        x = features[site.block]

        def value(x):
            outputs, _ = readout.outputs(params, readout.entering(x))
            return self.plan.objective.value(outputs, self.label)

        if axes == ("batch",):
            return value(x)
        entering = readout.entering(x)
        still = jax.lax.stop_gradient(entering) if rest is None else readout.entering(rest)
        patches, groups = x.shape[1:3]
        sizes = [patches if "patch" in axes else 1, groups if "group" in axes else 1]
        found = []
        for place in itertools.product(*map(range, sizes)):
            kept = np.zeros((patches, groups), bool)
            kept[
                place[0] if "patch" in axes else slice(None),
                place[1] if "group" in axes else slice(None),
            ] = True
            mixed = jnp.where(kept[None, :, :, None], entering, still)
            outputs, _ = readout.outputs(params, mixed)
            found.append(self.plan.objective.value(outputs, self.label))
        shape = [s for s, axis in zip(sizes, ("patch", "group"), strict=True) if axis in axes]
        return jnp.stack(found, -1).reshape(len(x), *shape)

    def heads_of(self, key):
        """Heads that are drawn, not trained."""
        drawn = self.state.key
        if key == "ntk loss":
            drawn = jax.random.key_data(address(self.state.key, "ntk", self.state.step))
        return initialize({"heads": self.plan.heads()}, drawn, self.plan.network.initialization)

    def outputs(self, features):
        site = self.sites[-1]
        readout, params = self.plan.readout(site), self.state.params
        for name in self.plan.place(site):
            params = params[name]
        return readout.outputs(params, readout.entering(features[site.block]))[0]

    # -------------------------------------------------------------------------- Jacobians

    def axes(self, key, name):
        """Of an array that is moved."""
        if key in ("z", "x", "out", "reader"):
            return ("n", "p", "g", "c")
        if key == "outputs":
            return ("n", "o")
        spec = self.layers[name.rpartition("/")[0]].params()[name.rpartition("/")[2]]
        named = (COPY[a] if a else f"{a}{i}" for i, a in enumerate(spec.axes))
        return (*(("n",) if key == "W of example" else ()), *named)

    def zeros(self, key, name):
        if key in ("W", "W of example"):
            shape = self.weights[name].shape
            shape = (len(self.x), *shape) if key == "W of example" else shape
            return jnp.zeros(shape, self.x.dtype)
        outs, features = self.still()
        like = features[name] if key == "x" else outs[name][0 if key == "z" else 1]
        return jnp.zeros_like(like)

    def still(self):
        if "still" not in self.known:
            self.known["still"] = self.run()
        return self.known["still"]

    def jacobian(self, of, by, through):
        if of[-1] is None:
            return None
        if through:
            primed = tuple(f"{axis}'" for axis in self.axes(*by))
            return self.through(of, by, through, primed)
        key = (of, by[0])
        if key not in self.known:
            self.known[key] = self.differentiated(of, by)
        return self.known[key][by[1] if len(by) > 1 else ""]

    def differentiated(self, of, by):
        """By all arrays of a kind at once, by name."""
        what, *place = of
        if by[0] == "outputs":
            y = self.outputs(self.still()[1])
            own = lambda y: self.plan.objective.value(y, self.label)  # noqa: E731
            return {"": Array(np.asarray(jax.jacrev(own)(y)), ("n", "n'", "o'"))}
        key = {"out": "z", "W of example": "W"}.get(by[0], by[0])
        rest = {name: self.zeros(by[0], name) for name in self.names(key)}

        def moved(deltas):
            outs, features = self.run({(by[0], name): d for name, d in deltas.items()})
            if what == "loss":
                return self.copies(place[0], features, axes=("batch",))
            if what in ("ntk loss", "fixed ntk loss"):
                heads = self.heads_of(what)
                return self.copies(place[0], features, heads=heads, axes=("batch",))
            if what == "copies":
                return self.copies(place[0], features)
            if what == "outputs":
                return self.outputs(features)
            return features[place[0]] if what == "x" else outs[place[0]][0]

        found = jax.jit(jax.jacrev(moved))(rest)
        if what == "copies":
            own = tuple(COPY[axis] for axis in self.sites[place[0]].axes)
        else:
            own = ("n",) if "loss" in what else self.axes(what, place[0] if place else "")
        return {
            name: Array(np.asarray(part), (*own, *(f"{a}'" for a in self.axes(by[0], name))))
            for name, part in found.items()
        }

    def through(self, of, by, through, primed):
        """Of one layer's pre-activation."""
        outs, features = self.still()
        if through == "past normalization":
            path, name = of[1], by[1]

            def run(delta):
                return self.pre(path, outs[path][2], {("W", name): delta}, None, through)

            found = jax.jacrev(run)(self.zeros("W", name))
            return Array(np.asarray(found), ("n", "p", "g", "c", *primed))
        back = self.backward()
        h = outs[by[1]][1]
        reader = of[1]
        if not isinstance(reader, Reader):
            return self.head_backward(reader[1], features, primed, back)
        if reader.way == "added":
            run = lambda h: h  # noqa: E731
        else:
            layer = self.layers[reader]

            def run(h):
                entering = h if layer.before is None else layer.before(h)
                own = {k.removeprefix("blocks/"): v for k, v in back.items()}
                weights = {**self.weights, **own}
                # The normalization behind the map is that of the true pass.
                true = self.mapped(reader, outs[reader][2], self.weights)
                z = self.mapped(reader, entering, weights)
                z = jax.lax.stop_gradient(true) + (z - jax.lax.stop_gradient(z))
                z = z if layer.after is None else layer.after(z)
                params = {n: self.weights[f"{reader}/{n}"] for n in layer.params()}
                return scaled(layer, params, z)

        return Array(np.asarray(jax.jacrev(run)(h)), ("n", "p", "g", "c", *primed))

    def mapped(self, path, x, weights):
        layer = self.layers[path]
        return layer.map({n: weights[f"{path}/{n}"] for n in layer.map_params()}, x)

    def backward(self):
        estimator = self.plan.estimator
        return flatten(estimator.seen_backward(self.state.feedback, self.state.params))

    def head_backward(self, unit, features, primed, back):
        """Of a loss under a head of one layer."""
        site = self.sites[unit]
        readout, place = self.plan.readout(site), "/".join(self.plan.place(site))
        (layer,) = readout.layers
        x, params = features[site.block], self.state.params
        for name in self.plan.place(site):
            params = params[name]

        def run(x):
            e = readout.entering(x)
            read = e.mean(1, keepdims=True).reshape(len(e), 1, 1, -1) if readout.averages else e
            read = read if layer.before is None else layer.before(read)
            true = jax.lax.stop_gradient(layer.map(params, read))
            z = layer.map({**params, "w": back[f"{place}/w"]}, read)
            y = true + z - jax.lax.stop_gradient(z)
            return self.plan.objective.value(y.reshape(len(x), -1), self.label)

        return Array(np.asarray(jax.jacrev(run)(x)), ("n", *primed))

    # ------------------------------------------------------------------------------ leaves

    def leaf(self, key, indices):
        if key in ("u", "drawn"):
            return self.perturbation(indices[0])
        if key == "direction":
            return self.perturbation(f"jacobian/{indices[0]}").total(("k",))
        if key == "mask":
            z = self.still()[0][indices[0]][0]
            activation = self.layers[indices[0]].activation
            derivative = np.asarray(activation.apply(z)[1])
            kept = derivative if activation.binary else np.ones_like(derivative)
            return Array(kept.astype(np.float64), ("n", "p", "g", "c"))
        if key == "fprime":
            z = self.still()[0][indices[0]][0]
            derivative = self.layers[indices[0]].activation.apply(z)[1]
            return Array(np.asarray(derivative, np.float64), ("n", "p", "g", "c"))
        if key == "feedback":
            matrix = flatten(self.state.feedback)[f"blocks/{indices[0]}/w"]
            return Array(np.asarray(matrix), ("o", "p", "g", "c"))
        if key == "label":
            return Array(np.eye(self.plan.outputs)[np.asarray(self.label)], ("n", "o"))
        if key == "dimension":
            names = [n for n, title in self.titles().items() if title == indices[0]]
            return Array(np.asarray(float(sum(self.size(n) for n in names))))
        if key == "length":
            return Array(np.sqrt(self.together(indices[0])))
        if key == "together":
            return Array(np.asarray(self.together(indices[0])))
        if key == "average":
            average = flatten(self.state.feedback)[f"kept/{indices[0]}"]
            return Array(np.asarray(average, np.float64), self.axes("W", indices[0]))
        if key in ("first sample", "other samples"):
            first = np.arange(self.plan.perturbation.samples) == 0
            return Array((first if key == "first sample" else ~first).astype(float), ("k",))
        if key == "coordinate":
            return self.coordinate(*indices)
        assert key == "coin", key
        shape = () if self.plan.perturbation.projection.granularity.whole else (len(self.x),)
        toss = [
            signs(address(self.state.key, f"coin/{indices[0]}", self.state.step, k), shape)
            for k in range(self.plan.perturbation.samples)
        ]
        axes = ("n",) if shape else ()
        if self.plan.perturbation.guess.made:
            return Array(np.asarray(toss[0]), axes)
        return Array(np.stack(toss), ("k", *axes))

    def size(self, name):
        shape = np.shape(self.zeros(self.view, name))
        own = shape[1:] if "n" in self.axes(self.view, name) else shape
        whole = self.plan.perturbation.projection.granularity.whole
        return prod(shape if whole else own)

    def together(self, unit):
        """Numbers that move together with loss `unit`."""
        (segment,) = [s for s in self.plan.segments if s.sites[-1] == self.sites[unit]]
        rows = self.plan.space.rows
        return float(sum(prod(e.shape[rows:]) for e in self.plan.perturbed(segment).values()))

    def coordinate(self, unit, name):
        """Unit vectors: a 1 where the first draw of the loss's arrays has its K largest numbers."""
        (segment,) = [s for s in self.plan.segments if s.sites[-1] == self.sites[unit]]
        names, rows = list(self.plan.perturbed(segment)), self.plan.space.rows
        first = {own: self.noise[own][0] for own in names}
        lead = first[name].shape[:rows]
        scores = np.concatenate([part.reshape(*lead, -1) for part in first.values()], -1)
        order = np.argsort(-scores, -1)
        start = sum(first[own].size for own in names[: names.index(name)]) // max(1, prod(lead))
        size = first[name].size // max(1, prod(lead))
        found = np.zeros((self.plan.perturbation.samples, *lead, size))
        for k, *at in np.ndindex(*found.shape[:-1]):
            place = order[(*at, k)] - start
            if 0 <= place < size:
                found[(k, *at, place)] = 1
        key = self.plan.perturbation.perturbed_space.array.key
        return Array(found.reshape(-1, *first[name].shape), ("k", *self.axes(key, name)))

    def perturbation(self, name):
        if self.plan.perturbation is None:  # noise of an estimator's own, one sample
            return Array(np.asarray(self.noise[f"{name}/output"][0], np.float64), tuple("npgc"))
        noise = np.asarray(self.noise[name], np.float64)
        if name in self.layers or name in self.unit_of or name.startswith("jacobian/"):
            whole = ("n", "p", "g", "c")
            if noise.shape[1] == 1 and len(self.x) > 1:
                return Array(noise[:, 0], ("k", *whole[1:]))
            return Array(noise, ("k", *whole))
        key = self.plan.perturbation.perturbed_space.array.key
        return Array(noise, ("k", *self.axes(key, name)))

    def moved(self, loss, directions, step):
        still = self.still()[1]
        site = self.sites[loss[1]]
        key = self.plan.perturbation.perturbed_space.array.key
        axes = tuple(COPY[axis] for axis in site.axes)
        if not directions:
            return Array(np.asarray(self.copies(loss[1], still, rest=still[site.block])), axes)
        found = []
        samples = next(iter(directions.values()))
        for k in range(samples.numbers.shape[samples.axes.index("k")]):
            by = {}
            for name, u in directions.items():
                own = ("k", *self.axes(key, name))
                by[key, name] = step * jnp.asarray(u.spread(own)[k])
            features = self.run(by)[1]
            found.append(np.asarray(self.copies(loss[1], features, rest=still[site.block])))
        return Array(np.stack(found), ("k", *axes))


class _Any:
    """A symbol with one index, for domains."""

    def __init__(self, name):
        self.at = (name,)
