"""A ResNet for 32 x 32 images, from a thin one that two cores train to ResNet-34."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import relu


@dataclass(frozen=True)
class Size:
    """How large a network is.  The default has 1.2 million parameters."""

    #: Channels of the first convolution, and of the blocks of each stage.
    stem: int = 32
    widths: tuple[int, ...] = (64, 128, 256)
    #: How many blocks each stage has.
    blocks: tuple[int, ...] = (1, 1, 1)
    #: Whether a MaxPool behind the first convolution halves the image.
    pool: bool = True


#: He et al., Deep Residual Learning, 2016, table 1: 21 million parameters.  The stem is that of
#: section 4.2, for images of 32 x 32.
RESNET34 = Size(64, (64, 128, 256, 512), (3, 4, 6, 3), pool=False)


class Block(nn.Module):
    """Two 3x3 convolutions and a skip: a 1x1 convolution where the shape changes."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or cin != cout:
            projection = nn.Conv2d(cin, cout, 1, stride, bias=False)
            self.skip = nn.Sequential(projection, nn.BatchNorm2d(cout))

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return relu(y + self.skip(x))


class ResNet(nn.Module):
    """Takes images `[N, 3, 32, 32]`, gives the logits `[N, 10]`."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, size.stem, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(size.stem)
        self.pool = nn.MaxPool2d(2) if size.pool else nn.Identity()
        blocks: list[nn.Module] = []
        cin = size.stem
        for stage, (width, count) in enumerate(zip(size.widths, size.blocks, strict=True)):
            for block in range(count):
                blocks.append(Block(cin, width, stride=2 if stage and not block else 1))
                cin = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(cin, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(relu(self.bn(self.stem(x))))
        x = self.blocks(x)
        return self.head(x.mean((2, 3)))
