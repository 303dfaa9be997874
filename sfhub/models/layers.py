"""Building blocks shared by the StyleGAN2 and SemanticStyleGAN generators and discriminators.

Everything here is one of the primitives of *Analyzing and Improving the Image Quality of StyleGAN* (Karras et al.,
CVPR 2020) in plain PyTorch: equalised learning rate, the scaled leaky ReLU, the [1, 3, 3, 1] resampling filter and
style modulation. Parameters are stored as the official code stores them, before equalisation, so that official weights
load unchanged.
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "EqualConv2d",
    "EqualLinear",
    "blur_downsample",
    "leaky_relu",
    "modulated_conv",
    "normalize_second_moment",
    "upsample",
    "upsampling_conv",
]

SQRT2 = math.sqrt(2.0)
FILTER_TAPS = (1.0, 3.0, 3.0, 1.0)


class EqualLinear(nn.Module):
    """Linear layer with equalised learning rate: `x @ (weight * lr / sqrt(in)).T + bias * lr`.

    Args:
        in_features, out_features: widths.
        bias_init: what the bias starts as (1 for the affine layers that make styles).
        lr_multiplier: learning-rate multiplier (0.01 in the mapping network).
    """

    def __init__(self, in_features: int, out_features: int, *, bias_init: float = 0.0, lr_multiplier: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), float(bias_init)))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias if self.bias_gain == 1 else self.bias * self.bias_gain
        return F.linear(x, self.weight * self.weight_gain, bias)


class EqualConv2d(nn.Module):
    """Convolution with equalised learning rate and "same" padding, optionally blurred and strided by two."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, bias: bool = True, down: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        kernel_size = self.weight.shape[-1]
        weight = self.weight * self.weight_gain
        if not self.down:
            return F.conv2d(x, weight, self.bias, padding=kernel_size // 2)
        if kernel_size == 1:  # a 1x1 convolution commutes with dropping pixels, so drop them first
            return F.conv2d(blur_downsample(x), weight, self.bias)
        return F.conv2d(_filter(x, padding=2), weight, self.bias, stride=2)


def leaky_relu(x: Tensor, gain: float = SQRT2, clamp: float | None = None) -> Tensor:
    """Leaky ReLU (slope 0.2) times `gain`, which keeps the variance at one; clamped to +-`clamp` if given."""
    x = F.leaky_relu(x, 0.2) * gain
    return x if clamp is None else x.clamp(-clamp, clamp)


def normalize_second_moment(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale each row of `[B, D]` to unit mean square."""
    return x * (x.square().mean(dim=1, keepdim=True) + eps).rsqrt()


@functools.lru_cache(maxsize=64)
def _fir(taps: tuple[float, ...], channels: int, gain: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A separable filter as depthwise weights `[channels, 1, taps, taps]` that sum to `gain`."""
    row = torch.tensor(taps)
    kernel = torch.outer(row, row)
    kernel = kernel * (gain / kernel.sum())
    return kernel.to(device=device, dtype=dtype).expand(channels, 1, -1, -1).contiguous()


def _filter(x: Tensor, padding: int, gain: float = 1.0, taps: tuple[float, ...] = FILTER_TAPS) -> Tensor:
    """Depthwise separable filter of `[B, C, H, W]` after zero padding on every side."""
    channels = x.shape[1]
    return F.conv2d(x, _fir(taps, channels, gain, x.dtype, x.device), padding=padding, groups=channels)


def blur_downsample(x: Tensor) -> Tensor:
    """Halve `[B, C, H, W]` with the resampling filter.

    [1, 3, 3, 1] is [1, 2, 1] followed by [1, 1], so a 3x3 filter and average pooling give the same result as a strided
    4x4 filter, whose backward pass is several times slower on CPUs.
    """
    return F.avg_pool2d(_filter(x, padding=1, taps=(1.0, 2.0, 1.0)), 2)


def upsample(x: Tensor) -> Tensor:
    """Double `[B, C, H, W]` with the resampling filter (zeros between pixels, then filtered with gain 4)."""
    channels = x.shape[1]
    kernel = _fir(FILTER_TAPS, channels, 4.0, x.dtype, x.device)
    return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=channels)


def upsampling_conv(x: Tensor, weight: Tensor) -> Tensor:
    """Double `[B, in, H, W]` with a transposed 3x3 convolution `[out, in, 3, 3]`, then the [1, 3, 3, 1] filter."""
    return _filter(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), padding=1, gain=4.0)


def modulated_conv(x: Tensor, weight: Tensor, styles: Tensor, *, demodulate: bool = True, up: bool = False) -> Tensor:
    """Convolution whose input channels are scaled by `styles` (StyleGAN2, eqs. 1 and 3).

    Scaling the activations before and the result after one shared convolution equals scaling the weights per sample,
    and is faster wherever grouped convolutions are slow.

    Args:
        x: activations `[B, in, H, W]`.
        weight: raw weights `[out, in, k, k]`, before the equalising 1/sqrt(in k^2).
        styles: `[B, in]`.
        demodulate: divide each output channel by the norm of its modulated weights.
        up: double the resolution (transposed convolution, then the [1, 3, 3, 1] filter).

    Returns:
        `[B, out, H, W]`, or `[B, out, 2H, 2W]` when `up`.
    """
    kernel_size = weight.shape[-1]
    weight = weight * (1 / math.sqrt(weight[0].numel()))
    x = x * styles.to(x.dtype)[:, :, None, None]
    x = upsampling_conv(x, weight) if up else F.conv2d(x, weight, padding=kernel_size // 2)
    if demodulate:
        with torch.autocast(x.device.type, enabled=False):  # a norm of many squares: keep it in full precision
            power = styles.float().square() @ weight.float().square().sum(dim=(2, 3)).T
            scale = (power + 1e-8).rsqrt()
        x = x * scale.to(x.dtype)[:, :, None, None]
    return x
