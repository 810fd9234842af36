"""Layers with weights, in PyTorch's many spellings."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.chains.block import Blocks, factor_of

BLOCKS = Blocks()
CONV = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}
TRANSPOSED = {3: nn.ConvTranspose1d, 4: nn.ConvTranspose2d, 5: nn.ConvTranspose3d}
CHANNELS = (16, 16, 32, 32, 48, 8, 24, 5)


@BLOCKS.block(3, 4, 5, is_weighted=True)
def convolution(draw, shape):
    c, *space = shape
    out = draw.of(*CHANNELS, c)
    groups = draw.of(1, 1, 1, 1, 2, 4, c)
    groups = groups if c % groups == out % groups == 0 else 1
    size = draw.of(1, 3, 3, 3, 5) if len(space) < 3 else draw.of(1, 3)
    dilation = draw.of(1, 1, 1, 2)
    stride = draw.of(1, 1, 1, 2) if min(space) >= 4 else 1
    padding = draw.of(dilation * (size // 2), dilation * (size // 2), "same", 0)
    if padding == "same" and stride > 1:
        padding = size // 2
    if min(space) + 2 * (0 if padding == "same" else padding) < dilation * (size - 1) + 1:
        padding = dilation * (size // 2)
    bias, mode = draw.of(True, False), draw.of("zeros", "zeros", "zeros", "zeros", "reflect")
    if isinstance(padding, str) or padding >= min(space) or len(space) == 3:
        mode = "zeros"
    return draw.part(
        CONV[len(shape) + 1](
            c, out, size, stride, padding, dilation, groups, bias, padding_mode=mode
        )
    )


@BLOCKS.block(4, is_weighted=True)
def uneven_convolution(draw, shape):
    """Other sizes along the height than along the width."""
    c = shape[0]
    size, padding, stride = draw.of(((1, 3), (0, 1), (1, 1)), ((3, 1), (1, 0), (2, 1)),
                                    ((5, 3), (2, 1), (1, 2)), ((2, 4), (1, 2), (1, 1)))  # fmt: skip
    return draw.part(nn.Conv2d(c, draw.of(*CHANNELS), size, stride, padding))


@BLOCKS.block(4, is_weighted=True)
def even_kernel_same(draw, shape):
    """Padding that differs by one between the two sides."""
    return draw.part(nn.Conv2d(shape[0], draw.of(*CHANNELS), draw.of(2, 4, (2, 3)), padding="same"))


@BLOCKS.block(4, is_weighted=True)
def mobile_block(draw, shape):
    """Pointwise, depthwise, pointwise, and a skip."""
    c = shape[0]
    act = draw.of(nn.ReLU6, nn.SiLU, nn.Hardswish, nn.ReLU)
    wide = nn.Sequential(
        nn.Conv2d(c, 2 * c, 1, bias=False), batch_norm(nn.BatchNorm2d(2 * c)), act()
    )
    deep = nn.Sequential(nn.Conv2d(2 * c, 2 * c, 3, padding=1, groups=2 * c), act())
    layers = draw.part(nn.Sequential(wide, deep, nn.Conv2d(2 * c, c, 1)))
    return lambda x: x + layers(x)


@BLOCKS.block(3, 4, is_weighted=True)
def residual(draw, shape):
    c = shape[0]
    conv, norm = (nn.Conv1d, nn.BatchNorm1d) if len(shape) == 2 else (nn.Conv2d, nn.BatchNorm2d)
    first = nn.Sequential(conv(c, c, 3, padding=1, bias=False), batch_norm(norm(c)), nn.ReLU())
    body = draw.part(nn.Sequential(first, conv(c, c, 3, padding=1), batch_norm(norm(c))))
    kind = draw.of("plain", "swapped", "projected", "in place", "no relu")
    short = draw.part(conv(c, c, 1)) if kind == "projected" else nn.Identity()
    if kind == "no relu":
        return lambda x: body(x) + x
    if kind == "in place":
        return lambda x: body(x).add_(x).relu_()
    if kind == "swapped":
        return lambda x: F.relu(x + body(x))
    return lambda x: F.relu(body(x) + short(x))


@BLOCKS.block(4, is_weighted=True)
def u_net(draw, shape):
    """Down and up again, beside a skip: a Concat in either order."""
    c, height, width = shape
    if height % 2 or width % 2:
        return None
    down = draw.part(nn.Sequential(nn.Conv2d(c, c, 3, padding=1), nn.ReLU()))
    first = draw.part(nn.Conv2d(c, c, 3, padding=1))
    out = draw.part(nn.Conv2d(2 * c, draw.of(*CHANNELS), 1))
    up = draw.of(
        lambda x: F.interpolate(x, scale_factor=2),
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        draw.part(nn.ConvTranspose2d(c, c, 2, 2)),
    )
    swapped = draw.of(True, False)

    def step(x):
        a = F.relu(first(x))
        b = up(down(F.max_pool2d(a, 2)))
        return out(torch.cat([a, b] if swapped else [b, a], 1))

    return step


@BLOCKS.block(3, 4, 5, is_weighted=True)
def transposed_convolution(draw, shape):
    c = shape[0]
    out = draw.of(8, 16, 6)
    groups = draw.of(1, 1, factor_of(c, 4, 2))
    groups = groups if out % groups == 0 else 1
    size, stride, padding, more = draw.of(
        (2, 2, 0, 0), (3, 2, 1, 1), (4, 2, 1, 0), (3, 1, 1, 0), (3, 1, 0, 0), (1, 1, 0, 0)
    )
    kind = TRANSPOSED[len(shape) + 1]
    dilation = draw.of(1, 1, 1, 2) if stride == 1 else 1
    return draw.part(
        kind(c, out, size, stride, padding, more, groups, draw.of(True, False), dilation)
    )


@BLOCKS.block(2, 3, 4, is_weighted=True)
def linear(draw, shape):
    return draw.part(nn.Linear(shape[-1], draw.of(*CHANNELS), draw.of(True, True, False)))


@BLOCKS.block(2, 3, is_weighted=True)
def mlp(draw, shape):
    c = shape[-1]
    act = draw.of(nn.GELU, nn.ReLU, nn.SiLU, lambda: nn.GELU(approximate="tanh"))
    body = draw.part(nn.Sequential(nn.LayerNorm(c), nn.Linear(c, 2 * c), act(), nn.Dropout(),
                                   nn.Linear(2 * c, c)))  # fmt: skip
    return lambda x: x + body(x)


@BLOCKS.block(2, 3, is_weighted=True)
def gated_mlp(draw, shape):
    c = shape[-1]
    gate, up, down = (draw.part(nn.Linear(*s, bias=False)) for s in ((c, 24), (c, 24), (24, c)))
    return lambda x: down(F.silu(gate(x)) * up(x))


@BLOCKS.block(2, is_weighted=True)
def addmm(draw, shape):
    c, out = shape[0], draw.of(8, 12)
    w, b = draw.weight(out, c), draw.weight(out)
    turned = draw.weight(c, out)
    return draw.of(
        lambda x: torch.addmm(b, x, turned, beta=0.5, alpha=2.0),
        lambda x: torch.addmm(b, x, w.t()),
        lambda x: torch.addmm(x[:, :1], x, turned, beta=0.5),
        lambda x: torch.mm(x, turned) + b,
    )


@BLOCKS.block(2, 3, 4, 5, is_weighted=True)
def matmul_with_a_weight(draw, shape):
    c, out = shape[-1], draw.of(8, 16)
    w, b, turned = draw.weight(c, out), draw.weight(out), draw.weight(out, c)
    return draw.of(
        lambda x: x @ w,
        lambda x: x @ w + b,
        lambda x: b + torch.matmul(x, w),
        lambda x: x @ turned.t(),
        lambda x: x @ turned.transpose(0, 1) - b,
    )


@BLOCKS.block(3, 4, is_weighted=True)
def weight_in_front(draw, shape):
    """The constant is the first operand of the product."""
    rows = shape[-2]
    w = draw.weight(draw.of(8, rows), rows)
    return lambda x: w @ x


@BLOCKS.block(3, 4)
def product_of_values(draw, shape):
    return draw.of(
        lambda x: x @ x.transpose(-1, -2) / 16,
        lambda x: torch.matmul(x.transpose(-2, -1), x) / 16,
        lambda x: (x @ x.transpose(-1, -2)).softmax(-1) @ x,
    )


@BLOCKS.block(3, reads=2)
def batched_product(draw, shape):
    w = draw.weight(1, shape[0], shape[0])
    return draw.of(
        lambda x, y: torch.bmm(x, y.transpose(1, 2)),
        lambda x, y: torch.baddbmm(w, x, y.transpose(1, 2), beta=0.5, alpha=0.25),
        lambda x, y: torch.baddbmm(x @ y.transpose(1, 2), x, y.transpose(1, 2)),
    )


@BLOCKS.block(3, reads=2)
def baddbmm(draw, shape):
    w = draw.weight(1, shape[0], shape[0])
    beta, alpha = draw.of(0.5, 1, 0), draw.of(0.25, 1)
    return lambda x, y: torch.baddbmm(w, x, y.transpose(1, 2), beta=beta, alpha=alpha)


@BLOCKS.block(3, reads=2)
def addbmm(draw, shape):
    w = draw.weight(shape[0], shape[0])
    return lambda x, y: torch.addbmm(w, x, y.transpose(1, 2), alpha=0.25) @ x


@BLOCKS.block(3, is_weighted=True)
def einsum_with_a_weight(draw, shape):
    rows, c = shape
    w, heads, mix = draw.weight(12, c), draw.weight(2, c, 8), draw.weight(rows, rows)
    return draw.of(
        lambda x: torch.einsum("btc,oc->bto", x, w),
        lambda x: torch.einsum("btc,hcd->bhtd", x, heads),
        lambda x: torch.einsum("...c,oc->...o", x, w),
        lambda x: torch.einsum("btc,ts->bsc", x, mix),
    )


@BLOCKS.block(3, 4, reads=2)
def einsum_of_values(draw, shape):
    if len(shape) == 2:
        return draw.of(
            lambda x, y: torch.einsum("bij,bkj->bik", x, y),
            lambda x, y: torch.einsum("bij,bij->bi", x, y),
            lambda x, y: torch.einsum("bij,bij->bji", x, y),
        )
    return draw.of(
        lambda x, y: torch.einsum("bhic,bhjc->bhij", x, y),
        lambda x, y: torch.einsum("bchw,bchw->bhw", x, y),
    )


@BLOCKS.block(2, reads=2, is_weighted=True)
def bilinear(draw, shape):
    layer = draw.part(nn.Bilinear(shape[0], shape[0], 6))
    return lambda x, y: layer(x, y)


@BLOCKS.block(4, is_weighted=True)
def tied_and_repeated(draw, shape):
    """One layer called twice, or two layers that share a weight."""
    c = shape[0]
    a, b = (draw.part(nn.Conv2d(c, c, 3, padding=1)) for _ in range(2))
    if draw.of(True, False):
        return lambda x: a(F.relu(a(x)))
    b.weight = a.weight
    return lambda x: b(F.relu(a(x)))


@BLOCKS.block(4, is_weighted=True)
def squeeze_and_excite(draw, shape):
    c = shape[0]
    a, b = draw.part(nn.Conv2d(c, 8, 1)), draw.part(nn.Conv2d(8, c, 1))
    pool = draw.of(lambda x: F.adaptive_avg_pool2d(x, 1), lambda x: x.mean((2, 3), keepdim=True))
    gate = draw.of(torch.sigmoid, F.hardsigmoid)
    return lambda x: x * gate(b(F.relu(a(pool(x)))))


@BLOCKS.block(3, 4, is_weighted=True)
def batch_folded(draw, shape):
    """Each time step by itself: the batch and the next axis are one for a while."""
    c = shape[-1]
    layer = draw.part(nn.Linear(c, 8))
    if len(shape) == 2:
        return lambda x: layer(x.reshape(-1, c)).reshape(x.shape[0], -1, 8)
    conv = draw.part(nn.Conv1d(shape[1], 8, 3, padding=1))
    return lambda x: conv(x.flatten(0, 1)).unflatten(0, (-1, shape[0]))


@BLOCKS.block(4, is_weighted=True)
def weight_that_is_computed(draw, shape):
    """Normalized, scaled or standardized weights, as normalizer-free networks have them."""
    c = shape[0]
    w = draw.weight(12, c, 3, 3, scale=0.1)
    gain = draw.weight(12, 1, 1, 1)
    return draw.of(
        lambda x: F.conv2d(x, w * gain, padding=1),
        lambda x: F.conv2d(x, (w - w.mean((1, 2, 3), keepdim=True)) * gain, padding=1),
        lambda x: F.conv2d(x, gain * w / w.norm(2, (1, 2, 3), True), padding=1),
        lambda x: F.conv2d(x, w.flip(1), None, padding=1),
    )


def batch_norm(layer):
    """Statistics as training leaves them."""
    nn.init.uniform_(layer.running_var, 0.5, 1.5)
    nn.init.normal_(layer.running_mean, 0, 0.2)
    if layer.weight is not None:
        nn.init.uniform_(layer.weight, 0.5, 1.5)
        nn.init.normal_(layer.bias, 0, 0.2)
    return layer
