"""Train the example's network and write the two safetensors files that `model.py` reads.

python examples/fashion_mnist/train.py --data /usr/share/datasets/fashion-mnist

The folder holds the four `*-ubyte.gz` files of Fashion-MNIST, as Debian's package
`dataset-fashion-mnist` installs them.
"""

import argparse
import gzip
import math
import time
from pathlib import Path

import torch
from model import IMAGES, WEIGHTS, ResNet, normalize
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

TEST_IMAGES, CALIBRATION_IMAGES = 768, 384
ORIGIN = {"origin": "Fashion-MNIST, Zalando SE, 2017", "licence": "MIT"}


def read_idx(path: Path) -> Tensor:
    """The uint8 tensor in a gzipped IDX file: magic, rank, the dimensions, then the bytes."""
    data = gzip.decompress(path.read_bytes())
    if data[:3] != b"\0\0\x08":
        raise SystemExit(f"{path} is not an IDX file of bytes")
    rank = data[3]
    shape = [int.from_bytes(data[4 * i : 4 * i + 4], "big") for i in range(1, rank + 1)]
    values = torch.frombuffer(bytearray(data), dtype=torch.uint8, offset=4 + 4 * rank)
    return values.reshape(shape)


def read_split(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Images `[N, 28, 28]` and labels `[N]`, both uint8; `split` is `train` or `t10k`."""
    images = read_idx(folder / f"{split}-images-idx3-ubyte.gz")
    return images, read_idx(folder / f"{split}-labels-idx1-ubyte.gz")


def augment(pixels: Tensor) -> Tensor:
    """Shift each image by up to two pixels and mirror half of them. uint8 `[N, 28, 28]`."""
    count, size = pixels.shape[0], pixels.shape[1]
    offset = torch.randint(0, 5, (2, count, 1))
    rows, columns = torch.arange(size) + offset
    columns = torch.where(torch.rand(count, 1) < 0.5, columns, columns.flip(1))
    padded = pad(pixels, (2, 2, 2, 2))
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def train(net: nn.Module, images: Tensor, labels: Tensor, epochs: int, batch: int = 128) -> None:
    """SGD with Nesterov momentum under a one-cycle schedule, in place."""
    steps = math.ceil(len(images) / batch)
    optimizer = torch.optim.SGD(
        net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.2, total_steps=epochs * steps, pct_start=0.25
    )
    net.train()
    for epoch in range(epochs):
        start, total = time.perf_counter(), 0.0
        for index in torch.randperm(len(images)).split(batch):
            inputs = normalize(augment(images[index])).to(memory_format=torch.channels_last)
            loss = cross_entropy(net(inputs), labels[index].long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds = time.perf_counter() - start
        print(f"epoch {epoch + 1}/{epochs}: loss {total / steps:.4f}, {seconds:.0f} s", flush=True)


@torch.no_grad()
def accuracy(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy in percent, in inference mode."""
    net.eval()
    guesses = torch.cat([net(normalize(part)).argmax(1) for part in images.split(500)])
    return 100.0 * (guesses == labels).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the Fashion-MNIST example.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the *-ubyte.gz files")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    images, labels = read_split(options.data, "train")
    test_images, test_labels = read_split(options.data, "t10k")

    # On a CPU, channels-last convolutions train about 1.5 times as fast.
    net = ResNet().to(memory_format=torch.channels_last)
    start = time.perf_counter()
    train(net, images, labels, options.epochs)
    minutes = (time.perf_counter() - start) / 60
    # The last epoch is taken as it is: the test set chooses nothing.
    top1 = accuracy(net, test_images, test_labels)
    print(f"{minutes:.1f} minutes; top-1 on all {len(test_images)} test images: {top1:.2f} %")

    weights = {name: value.contiguous() for name, value in net.state_dict().items()}
    save_file(weights, WEIGHTS)
    samples = {
        "test_images": test_images[:TEST_IMAGES],
        "test_labels": test_labels[:TEST_IMAGES],
        "calibration_images": images[:CALIBRATION_IMAGES],
    }
    save_file({name: value.contiguous() for name, value in samples.items()}, IMAGES, ORIGIN)


if __name__ == "__main__":
    main()
