"""A model.py to tune, in parts that tests put together."""

NET = """
import os
import torch
from torch import nn

torch.set_num_threads(2)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)) + y)
        return self.head(y.mean((2, 3)))

def model():
    return Net()

def data(seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(48) % 4
    x = torch.randn(48, 16, 6, 6, generator=generator)
    x[torch.arange(48), y] += 1
    return x, y

def example_inputs():
    return (data()[0][:4],)
"""

CALIBRATION = """
def calibration():
    for part in data()[0].split(16):
        yield (part,)
"""

TRAINING = """
def training():
    x, y = data()
    for rows in torch.randperm(len(x)).split(16):
        yield x[rows] + torch.rand(1) / 8, y[rows]
"""

EVALUATE = """
def evaluate(run):
    x, y = data(seed=1)
    return {"top-1": 100 * (run(x).argmax(1) == y).float().mean().item()}
"""

WHOLE = NET + CALIBRATION + TRAINING + EVALUATE
