"""Small random networks of the pieces that the compiler has to keep apart, one for each seed."""

from collections.abc import Callable
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional

ACTIVATIONS: list[Callable[[], nn.Module]] = [
    nn.ReLU,
    nn.ReLU6,
    nn.SiLU,
    nn.Hardswish,
    lambda: nn.LeakyReLU(0.1),
    nn.GELU,
    lambda: nn.ReLU(inplace=True),
]
CHANNELS = [16, 32, 48, 17, 3, 24]

#: A step reads the values so far, and gives one or more further ones.
Step = Callable[[list[Tensor]], list[Tensor]]


class RandomNet(nn.Module):
    """A network of random steps; `x` is a fitting input, `kinds` names the steps."""

    def __init__(self, seed: int, size: int = 10) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.random = Random(seed)
        self.parts = nn.ModuleList()
        self.steps: list[Step] = []
        self.kinds: list[str] = []
        self.flat = self.random.random() < 0.15
        shape = (2, self.random.choice([3, 16, 32]), 12) + (() if self.flat else (12,))
        self.x = torch.randn(shape)
        self.shapes: list[tuple[int, ...]] = [shape]
        self._conv()
        while len(self.steps) < size:
            self._step()
        self._end()
        self.eval()
        settle(self)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        values = [x]
        for step in self.steps:
            values += step(values)
        outputs = tuple(values[i] for i in self.outputs)
        return outputs if len(outputs) > 1 else outputs[0]

    # -- how steps are added -----------------------------------------------------------------------

    def _add(self, kind: str, step: Step) -> None:
        with torch.no_grad():
            given = step([torch.randn(s) for s in self.shapes])
        self.steps.append(step)
        self.kinds.append(kind)
        self.shapes += [tuple(t.shape) for t in given]

    def _part(self, part: nn.Module) -> nn.Module:
        self.parts.append(part)
        return part

    def _one(self, kind: str, i: int, function: Callable[[Tensor], Tensor]) -> None:
        self._add(kind, lambda values: [function(values[i])])

    def _pick(self, rank: int | None = None) -> int | None:
        """A value, most often the last one."""
        fitting = [i for i, s in enumerate(self.shapes) if rank is None or len(s) == rank]
        if not fitting:
            return None
        return fitting[-1] if self.random.random() < 0.6 else self.random.choice(fitting)

    def _map(self) -> int:
        """A feature map; there is one, the input."""
        found = self._pick(3 if self.flat else 4)
        assert found is not None
        return found

    def _step(self) -> None:
        kinds = [
            *[self._conv] * 5,
            *[self._residual] * 4,
            *[self._projection] * 2,
            self._concat,
            self._concat,
            self._chunk,
            self._pool,
            self._upsample,
            self._transposed,
            self._twice,
            self._tied,
            self._constant,
            self._tokens,
            self._activation,
            self._gate,
            self._branches,
            self._move,
            self._sum,
        ]
        self.random.choice(kinds)()

    def _convolution(self, c: int, out: int, groups: int = 1, k: int = 3, stride: int = 1):
        kind = nn.Conv1d if self.flat else nn.Conv2d
        bias = self.random.random() < 0.5
        return kind(c, out, k, stride, k // 2, groups=groups, bias=bias)

    def _norm(self, c: int) -> nn.Module:
        return nn.BatchNorm1d(c) if self.flat else nn.BatchNorm2d(c)

    def _block(self, c: int, out: int, act: bool = True) -> nn.Sequential:
        groups = self.random.choice([1, 1, 1, 1, c, 16])
        if c % groups or out % groups:
            groups = 1
        parts = [self._convolution(c, out, groups, self.random.choice([1, 3, 3]))]
        if self.random.random() < 0.6:
            parts.append(self._norm(out))
        if act and self.random.random() < 0.7:
            parts.append(self.random.choice(ACTIVATIONS)())
        return nn.Sequential(*parts)

    # -- the steps ---------------------------------------------------------------------------------

    def _conv(self) -> None:
        i = self._map()
        c = self.shapes[i][1]
        part = self._part(self._block(c, self.random.choice([*CHANNELS, c])))
        if self.shapes[i][-1] >= 8 and self.random.random() < 0.2:
            part[0].stride = tuple(2 for _ in part[0].stride)
        self._one("conv", i, part)

    def _residual(self) -> None:
        i = self._map()
        c = self.shapes[i][1]
        part = self._part(self._block(c, c, act=False))
        order = self.random.choice(["+", "swapped", "+=", "twin"])
        relu = self.random.random() < 0.7
        twin = self._part(self._block(c, c, act=False)) if order == "twin" else None

        def step(values: list[Tensor]) -> list[Tensor]:
            x, y = values[i], part(values[i])
            if twin is not None:
                y = y + twin(x)
            elif order == "+=":
                y += x
            else:
                y = y + x if order == "+" else x + y
            return [functional.relu(y) if relu else y]

        self._add(f"residual {order}", step)

    def _projection(self) -> None:
        i = self._map()
        c, out = self.shapes[i][1], self.random.choice(CHANNELS)
        stride = 2 if self.shapes[i][-1] >= 8 else 1
        main = self._part(nn.Sequential(self._convolution(c, out, 1, 3, stride), self._norm(out)))
        short = self._part(nn.Sequential(self._convolution(c, out, 1, 1, stride), self._norm(out)))
        self._one("projection", i, lambda x: functional.relu(main(x) + short(x)))

    def _concat(self) -> None:
        i = self._map()
        space = list(self.shapes[i][2:])
        same = [j for j, s in enumerate(self.shapes) if len(s) == 2 + len(space)]
        same = [j for j in same if list(self.shapes[j][2:]) == space]
        j = self.random.choice(same)
        self._add("concat", lambda values: [torch.cat((values[i], values[j]), 1)])

    def _chunk(self) -> None:
        i = self._map()
        c = self.shapes[i][1]
        if c % 2:
            return
        half = c // 2 if self.random.random() < 0.5 else c // 4 or 1
        if self.random.random() < 0.5:
            self._add("chunk", lambda values: list(values[i].chunk(2, 1)))
        else:
            self._add("split", lambda values: list(values[i].split([half, c - half], 1)))

    def _pool(self) -> None:
        i = self._map()
        if self.shapes[i][-1] < 4:
            return
        kind = self.random.choice(["max", "avg", "sppf"])
        if kind == "sppf":
            pool = (nn.MaxPool1d if self.flat else nn.MaxPool2d)(5, 1, 2)
        elif kind == "max":
            pool = (nn.MaxPool1d if self.flat else nn.MaxPool2d)(2)
        else:
            pool = (nn.AvgPool1d if self.flat else nn.AvgPool2d)(2)
        self._one(f"pool {kind}", i, pool)

    def _upsample(self) -> None:
        i = self._map()
        if self.shapes[i][-1] <= 12:
            up = lambda x: functional.interpolate(x, scale_factor=2, mode="nearest")  # noqa: E731
            self._one("upsample", i, up)

    def _transposed(self) -> None:
        i = self._map()
        c, out = self.shapes[i][1], self.random.choice([16, 32, 17])
        if self.flat or self.shapes[i][-1] > 12:
            return
        groups = 16 if c % 16 == 0 and out % 16 == 0 and self.random.random() < 0.3 else 1
        self._one("transposed", i, self._part(nn.ConvTranspose2d(c, out, 2, 2, groups=groups)))

    def _twice(self) -> None:
        i = self._map()
        c = self.shapes[i][1]
        part = self._part(self._block(c, c))
        self._one("shared module", i, lambda x: part(part(x)))

    def _tied(self) -> None:
        i = self._map()
        c = self.shapes[i][1]
        a, b = (self._part(self._convolution(c, c)) for _ in range(2))
        b.weight = a.weight
        if self.random.random() < 0.5:
            self._one("tied weights, BatchNorm", i, lambda x: torch.relu(b(a(x))))
            return
        norm = self._part(self._norm(c))
        self._one("tied weights", i, lambda x: torch.relu(b(norm(a(x)))))

    def _constant(self) -> None:
        i = self._map()
        shape = (1, self.shapes[i][1], *[1] * (len(self.shapes[i]) - 2))
        constant = nn.Parameter(torch.randn(self.random.choice([shape, ()])))
        self.register_parameter(f"constant{len(self.steps)}", constant)
        self._one("constant add", i, lambda x: x + constant)

    def _activation(self) -> None:
        act = self.random.choice(ACTIVATIONS[:-1])()
        self._one("activation", self._map(), act)

    def _gate(self) -> None:
        i = self._map()
        if self.flat:
            return
        c = self.shapes[i][1]
        a, b = self._part(nn.Conv2d(c, 16, 1)), self._part(nn.Conv2d(16, c, 1))
        pool = nn.AdaptiveAvgPool2d(1)
        self._one("gate", i, lambda x: x * torch.sigmoid(b(torch.relu(a(pool(x))))))

    def _branches(self) -> None:
        """Several readers of one value, of different kinds."""
        i = self._map()
        c = self.shapes[i][1]
        a, b = self._part(self._block(c, 16)), self._part(self._block(c, 32))
        self._add("branches", lambda v: [a(v[i]), b(v[i])])

    def _move(self) -> None:
        """What moves elements and computes nothing."""
        i = self._map()
        _, c, *space = self.shapes[i]
        kind = self.random.choice(["pad", "slice", "shuffle", "transpose"])
        if kind == "pad" and space[-1] <= 16:
            self._one(kind, i, lambda x: functional.pad(x, (1, 1)))
        elif kind == "slice" and space[-1] >= 4:
            self._one(kind, i, lambda x: x[..., 1:-1])
        elif kind == "shuffle" and c % 2 == 0:
            self._one(
                kind,
                i,
                lambda x: x.reshape(-1, 2, c // 2, *x.shape[2:]).transpose(1, 2).reshape(x.shape),
            )
        elif kind == "transpose" and not self.flat:
            self._one(kind, i, lambda x: x.permute(0, 1, 3, 2))

    def _sum(self) -> None:
        """An Add of any two values that fit, be they one."""
        i = self._map()
        j = self.random.choice([j for j, s in enumerate(self.shapes) if s == self.shapes[i]])
        relu = self.random.random() < 0.5
        self._add("sum", lambda v: [torch.relu(v[i] + v[j]) if relu else v[i] + v[j]])

    def _tokens(self) -> None:
        """Linears on three axes, layer norm, softmax, and back to a map."""
        i = self._map()
        _, c, *space = self.shapes[i]
        norm, fc1 = self._part(nn.LayerNorm(c)), self._part(nn.Linear(c, 32))
        fc2, drop = self._part(nn.Linear(32, c)), nn.Dropout(0.5).eval()
        kind = self.random.choice(["mlp", "softmax", "plain"])

        def step(values: list[Tensor]) -> list[Tensor]:
            x = values[i]
            t = x.flatten(2).transpose(1, 2)
            y = norm(t) if kind == "mlp" else t
            y = drop(functional.gelu(fc1(y)))
            t = t + fc2(y.softmax(-1) if kind == "softmax" else y)
            return [t.permute(0, 2, 1).reshape(x.shape[0], c, *space)]

        self._add(f"tokens {kind}", step)

    # -- the end -----------------------------------------------------------------------------------

    def _end(self) -> None:
        """A classifier or the map itself; further outputs, among them inner ones and the input."""
        i = self._map()
        c = self.shapes[i][1]
        if self.random.random() < 0.5:
            head = self._part(nn.Linear(c, self.random.choice([10, 16])))
            axes = tuple(range(2, len(self.shapes[i])))
            if self.random.random() < 0.5 or self.flat:
                self._one("mean, linear", i, lambda x: head(x.mean(axes)))
            else:
                pool = nn.AdaptiveAvgPool2d(1)
                self._one("pool, flatten, linear", i, lambda x: head(pool(x).flatten(1)))
        self.outputs = [len(self.shapes) - 1]
        if self.random.random() < 0.3:
            self.outputs.append(self.random.randrange(1, len(self.shapes)))
        if self.random.random() < 0.1:
            self.outputs.append(0)


def settle(net: RandomNet) -> None:
    """Give every BatchNorm the statistics of what reaches it, so that values stay near one."""
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.train()
            module.momentum = None
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    with torch.no_grad():
        for _ in range(2):
            net(torch.randn(8, *net.x.shape[1:]))
    net.eval()
