"""Small look-alikes of well-known classifiers, in torch.

Each has two or so blocks of its family and, faithfully, the family's last block
and head, as torchvision has them; weights are random.
"""

import torch
from torch import nn
from torch.nn import functional

C = 7  # classes; f is (K, 6, 9) with K none of 3, 6, 7, 9: no transposed axis can hide


class LookAlike(nn.Module):
    """x -> features -> f -> head -> S -> last -> output; its last layer with weights makes S."""

    input = (3, 24, 36)
    verdict, form = "exact", "gap"
    free = {0: "batch", 2: "height", 3: "width"}  # the sizes of x that are not fixed
    last = staticmethod(lambda S: S)

    def forward(self, x):
        return self.last(self.head(self.features(x)))


def conv(i, o, size=1, stride=1, groups=1, activation=nn.ReLU, eps=1e-5):
    """Convolution, batch normalization, activation: the brick of most of them."""
    layers = [nn.Conv2d(i, o, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(o, eps)]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class BasicBlock(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.residual = nn.Sequential(conv(i, o, 3, stride), conv(o, o, 3, activation=None))
        self.downsample = conv(i, o, 1, stride, activation=None) if (i, stride) != (o, 1) else nn.Identity()

    def forward(self, x):
        return functional.relu(self.residual(x) + self.downsample(x))


class ResNet(LookAlike):
    classes = C
    pool = nn.AdaptiveAvgPool2d

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(conv(3, 4, 3, 2), BasicBlock(4, 4, 1), BasicBlock(4, 5, 2))
        self.avgpool = self.pool((1, 1))
        self.fc = nn.Linear(5, self.classes)

    def head(self, f):
        return self.fc(torch.flatten(self.avgpool(f), 1))


class Binary(ResNet):
    """One class or not: a single score and a sigmoid."""

    classes = 1
    last = staticmethod(torch.sigmoid)


class GlobalMaxPooling(ResNet):
    """What the paper compares with: S_c = sum_k w_k^c max_xy f_k(x, y) + b_c."""

    verdict, form = "approximate", "gmp"
    pool = nn.AdaptiveMaxPool2d


class DenseLayer(nn.Module):
    def __init__(self, i, growth):
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(i), nn.ReLU(), nn.Conv2d(i, 4, 1, bias=False),
            nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, growth, 3, padding=1, bias=False))

    def forward(self, x):
        return torch.cat([x, self.layers(x)], 1)


class DenseNet(LookAlike):
    def __init__(self):
        super().__init__()
        transition = nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 1, bias=False), nn.AvgPool2d(2, 2)
        self.blocks = nn.Sequential(
            conv(3, 4, 3, 2), DenseLayer(4, 2), nn.Sequential(*transition),
            DenseLayer(4, 2), DenseLayer(6, 2), nn.BatchNorm2d(8))
        self.classifier = nn.Linear(8, C)

    def features(self, x):
        return functional.relu(self.blocks(x))

    def head(self, f):
        return self.classifier(torch.flatten(functional.adaptive_avg_pool2d(f, (1, 1)), 1))


class Inception(nn.Module):
    def __init__(self, i):
        super().__init__()
        self.branch1 = conv(i, 3, eps=1e-3)
        self.branch2 = nn.Sequential(conv(i, 3, eps=1e-3), conv(3, 4, 3, eps=1e-3))
        self.branch3 = nn.Sequential(conv(i, 2, eps=1e-3), conv(2, 3, 3, eps=1e-3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), conv(i, 2, eps=1e-3))

    def forward(self, x):
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class GoogLeNet(LookAlike):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(conv(3, 4, 3, 2), nn.MaxPool2d(3, 2, ceil_mode=True), Inception(4))
        self.avgpool, self.dropout, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Dropout(0.2), nn.Linear(12, C)

    def head(self, f):
        return self.fc(self.dropout(torch.flatten(self.avgpool(f), 1)))


class SqueezeExcitation(nn.Module):
    def __init__(self, units, activation, gate):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(units, 2, 1), activation(), nn.Conv2d(2, units, 1), gate())

    def forward(self, x):
        return self.gate(x) * x


class InvertedResidual(nn.Module):
    """MobileNetV2's, and with squeeze and excitation EfficientNet's and MobileNetV3's."""

    def __init__(self, i, o, stride, activation, gate=None):
        super().__init__()
        squeeze = [SqueezeExcitation(6, nn.SiLU if gate is nn.Sigmoid else nn.ReLU, gate)] if gate else []
        self.conv = nn.Sequential(
            conv(i, 6, activation=activation), conv(6, 6, 3, stride, 6, activation), *squeeze,
            conv(6, o, activation=None))
        self.adds = stride == 1 and i == o

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


def inverted_residuals(units, activation, gate=None):
    return nn.Sequential(
        conv(3, 4, 3, 2, activation=activation), InvertedResidual(4, 4, 1, activation, gate),
        InvertedResidual(4, 5, 2, activation, gate), conv(5, units, activation=activation))


class MobileNetV2(LookAlike):
    def __init__(self):
        super().__init__()
        self.features = inverted_residuals(10, nn.ReLU6)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(10, C))

    def head(self, f):
        return self.classifier(functional.adaptive_avg_pool2d(f, (1, 1)).reshape(f.shape[0], -1))


class EfficientNet(LookAlike):
    def __init__(self):
        super().__init__()
        self.features = inverted_residuals(8, nn.SiLU, nn.Sigmoid)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, C))

    def head(self, f):
        return self.classifier(torch.flatten(self.avgpool(f), 1))


class MobileNetV3(LookAlike):
    verdict, form = "refused", None

    def __init__(self):
        super().__init__()
        self.features = inverted_residuals(8, nn.Hardswish, nn.Hardsigmoid)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Linear(8, 8), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(8, C))

    def head(self, f):
        return self.classifier(torch.flatten(self.avgpool(f), 1))


class ShuffleBlock(nn.Module):
    """Half of the units pass by (all of them, by a branch, at stride 2); then the halves are shuffled."""

    def __init__(self, i, o, stride):
        super().__init__()
        half, self.splits = o // 2, stride == 1
        self.branch1 = nn.Sequential(conv(i, i, 3, stride, i, None), conv(i, half)) if stride > 1 else None
        i = half if self.splits else i
        self.branch2 = nn.Sequential(conv(i, half), conv(half, half, 3, stride, half, None), conv(half, half))

    def forward(self, x):
        if self.splits:
            x1, x2 = x.chunk(2, dim=1)
            y = torch.cat((x1, self.branch2(x2)), dim=1)
        else:
            y = torch.cat((self.branch1(x), self.branch2(x)), dim=1)
        n, units, height, width = y.size()
        y = y.view(n, 2, units // 2, height, width).transpose(1, 2).contiguous()
        return y.view(n, units, height, width)


class ShuffleNetV2(LookAlike):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            conv(3, 4, 3, 2), ShuffleBlock(4, 4, 2), ShuffleBlock(4, 4, 1), conv(4, 11))
        self.fc = nn.Linear(11, C)

    def head(self, f):
        return self.fc(f.mean([2, 3]))  # globalpool


class Fire(nn.Module):
    def __init__(self, i):
        super().__init__()
        self.squeeze, self.expand1x1 = nn.Conv2d(i, 3, 1), nn.Conv2d(3, 4, 1)
        self.expand3x3 = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        x = functional.relu(self.squeeze(x))
        return torch.cat([functional.relu(self.expand1x1(x)), functional.relu(self.expand3x3(x))], 1)


class SqueezeNet(LookAlike):
    verdict, form = "approximate", "squeezenet"

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(4), Fire(8))
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Conv2d(8, C, 1), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1)))

    def head(self, f):
        return torch.flatten(self.classifier(f), 1)


class NetworkInNetwork(LookAlike):
    form = "nin"

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 5, 2, 2), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(4, 5, 3, 1, 1), nn.ReLU(), nn.Conv2d(5, 5, 1), nn.ReLU())
        self.classifier = nn.Sequential(nn.Conv2d(5, C, 1), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten())

    def head(self, f):
        return self.classifier(f)


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    def __init__(self, units):
        super().__init__()
        self.depthwise = nn.Conv2d(units, units, 7, padding=3, groups=units)
        self.norm = nn.LayerNorm(units, 1e-6)
        self.mlp = nn.Sequential(nn.Linear(units, 8), nn.GELU(), nn.Linear(8, units))
        self.layer_scale = nn.Parameter(torch.ones(units, 1, 1))

    def forward(self, x):
        y = self.mlp(self.norm(self.depthwise(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        return x + self.layer_scale * y


class ConvNeXt(LookAlike):
    verdict, form = "refused", None

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 5, 4, 4), LayerNorm2d(5, 1e-6), ConvNeXtBlock(5), ConvNeXtBlock(5))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(LayerNorm2d(5, 1e-6), nn.Flatten(1), nn.Linear(5, C))

    def head(self, f):
        return self.classifier(self.avgpool(f))


class Swin(LookAlike):
    """Without its attention, for its head: (N, H, W, K) is normalized, then pooled as (N, K, H, W)."""

    def __init__(self):
        super().__init__()
        self.patches, self.norm1 = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8)
        self.mlp, self.norm = nn.Sequential(nn.Linear(8, 10), nn.GELU(), nn.Linear(10, 8)), nn.LayerNorm(8)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(8, C)

    def features(self, x):
        x = self.norm1(self.patches(x).permute(0, 2, 3, 1))
        return self.norm(x + self.mlp(x)).permute(0, 3, 1, 2)

    def head(self, f):
        return self.fc(self.avgpool(f).flatten(1))


class VGG(LookAlike):
    input = (3, 24, 40)  # a map of 6 x 10: TorchScript's exporter cannot pool odd sides into 2
    verdict, form = "refused", None

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2, 2),
            nn.Conv2d(4, 5, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2, 2))
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, C))

    def head(self, f):
        return self.classifier(torch.flatten(self.avgpool(f), 1))


class ViT(LookAlike):
    verdict, form = "refused", None
    free = {}  # the positions are learned for one size

    def __init__(self):
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, 8))
        self.position = nn.Parameter(torch.zeros(1, 7, 8))
        self.patches = nn.Conv2d(3, 8, 12, 12)
        self.norm1, self.attention = nn.LayerNorm(8, 1e-6), nn.MultiheadAttention(8, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.LayerNorm(8, 1e-6), nn.Linear(8, 10), nn.GELU(), nn.Linear(10, 8))
        self.norm2, self.heads = nn.LayerNorm(8, 1e-6), nn.Linear(8, C)

    def features(self, x):
        tokens = self.patches(x).reshape(x.shape[0], 8, 6).permute(0, 2, 1)
        tokens = torch.cat([self.class_token.expand(x.shape[0], -1, -1), tokens], 1) + self.position
        y = self.norm1(tokens)
        tokens = tokens + self.attention(y, y, y, need_weights=False)[0]
        return self.norm2(tokens + self.mlp(tokens))

    def head(self, f):
        return self.heads(f[:, 0])


FAMILIES = {
    "resnet": ResNet, "binary": Binary, "gmp": GlobalMaxPooling, "densenet": DenseNet,
    "googlenet": GoogLeNet, "mobilenetv2": MobileNetV2, "shufflenetv2": ShuffleNetV2,
    "efficientnet": EfficientNet, "nin": NetworkInNetwork, "squeezenet": SqueezeNet, "swin": Swin,
    "mobilenetv3": MobileNetV3, "convnext": ConvNeXt, "vgg": VGG, "vit": ViT,
}


def build(family):
    """A network of a family in eval mode, with random weights, always the same."""
    model, chance = FAMILIES[family](), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:  # keeps the activations' size
                parameter.normal_(0, (2 / parameter[0].numel()) ** 0.5, generator=chance)
            else:
                low, high = (-0.2, 0.6) if name.endswith("bias") else (0.7, 1.4)
                parameter.uniform_(low, high, generator=chance)
        noise = torch.randn((8, *model.input), generator=chance)
        for _ in range(30):  # batch normalization learns means and variances, so that units fire
            model.train().features(noise)
    return model.eval()
